package bigip

import (
	"net/netip"
	"slices"
)

// Pool is the servers behind a virtual server.
type Pool struct {
	LoadBalancing LoadBalancing `yaml:"load-balancing-mode"`
	Monitor       Monitor       `yaml:"monitor"`
	Members       []Member      `yaml:"members"` // nil: the lab's servers
}

// Member is one server of the pool.
type Member struct {
	Name            string         `yaml:"name"`    // the node's name in the lab
	Address         netip.AddrPort `yaml:"address"` // zero: where the lab's server of that name listens
	Ratio           int            `yaml:"ratio"`   // of connections, for ratio-member; 0 means 1
	ConnectionLimit int            `yaml:"connection-limit"`
	State           State          `yaml:"state"`
}

// LoadBalancing says which member a connection goes to.
type LoadBalancing string

// The modes. The zero value means round-robin.
const (
	RoundRobin LoadBalancing = "round-robin"
	// RatioMember gives each member its ratio of the connections.
	RatioMember LoadBalancing = "ratio-member"
	// LeastConnections prefers the member with the fewest connections.
	LeastConnections LoadBalancing = "least-connections-member"
)

// maxRatio bounds a member's ratio, as on the box.
const maxRatio = 65535

func (p *Pool) validate(bad report) {
	oneOf(bad, "load-balancing-mode", p.LoadBalancing, RoundRobin, RatioMember, LeastConnections)
	p.Monitor.validate(bad.under("monitor"))
	seen := map[string]bool{}
	for _, m := range p.Members {
		bad := bad.under("members")
		if m.Name == "" {
			bad("name: a member needs one")
		}
		if seen[m.Name] {
			bad("name %q: is there twice", m.Name)
		}
		seen[m.Name] = true
		oneOf(bad, "state", m.State, Enabled, Disabled)
		notNegative(bad, "connection-limit", m.ConnectionLimit)
		if m.Ratio < 0 || m.Ratio > maxRatio {
			bad("ratio %d: must be 1 to %d", m.Ratio, maxRatio)
		}
	}
}

// Static says whether a request's member follows from its ordinal alone: not where
// it depends on which members are up or how busy they are.
func (p *Pool) Static() bool {
	return p.LoadBalancing != LeastConnections && p.Monitor.Type == MonitorNone &&
		!slices.ContainsFunc(p.Members, func(m Member) bool { return m.ConnectionLimit > 0 })
}

// turns lists the members' indexes in the order of their turns, those that may not
// be used left out.
func (p *Pool) turns(usable func(i int) bool) (order []int) {
	left := make([]int, len(p.Members))
	for i := range p.Members {
		if left[i] = 1; p.LoadBalancing == RatioMember {
			left[i] = max(1, p.Members[i].Ratio)
		}
		if !usable(i) {
			left[i] = 0
		}
	}
	for again := true; again; {
		again = false
		for i := range left {
			if left[i] > 0 {
				left[i]--
				order = append(order, i)
				again = true
			}
		}
	}
	return order
}

// MemberFor returns the index of the member that a request goes to, -1 if there is
// none. It goes by the request's ordinal, not by arrival, so that it is the same at
// any concurrency.
func (c *Config) MemberFor(ordinal, attempt int) int {
	order := c.Pool.turns(c.Pool.enabled)
	if len(order) == 0 {
		return -1
	}
	return order[(ordinal+attempt)%len(order)]
}

func (p *Pool) enabled(i int) bool { return p.Members[i].State != Disabled }

// members knows which members can be used. It belongs to the loop's thread.
type members struct {
	pool  *Pool
	order []int // turns of the members that are enabled and up
	down  []bool
	count []int // connections of each member
}

func newMembers(p *Pool) *members {
	m := &members{pool: p, down: make([]bool, len(p.Members)), count: make([]int, len(p.Members))}
	m.turns()
	return m
}

func (m *members) turns() {
	m.order = m.pool.turns(func(i int) bool { return m.pool.enabled(i) && !m.down[i] })
}

// set is told by a monitor whether a member is up.
func (m *members) set(i int, up bool) {
	m.down[i] = !up
	m.turns()
}

// pick returns the member whose turn it is; -1 and why if there is none.
func (m *members) pick(turn int) (int, Event) {
	if len(m.order) == 0 {
		return -1, NoMember
	}
	best := -1
	for k := range m.order {
		i := m.order[(turn+k)%len(m.order)]
		if limit := m.pool.Members[i].ConnectionLimit; limit > 0 && m.count[i] >= limit {
			continue
		}
		if m.pool.LoadBalancing != LeastConnections {
			return i, 0
		}
		if best < 0 || m.count[i] < m.count[best] {
			best = i
		}
	}
	if best < 0 {
		return -1, MembersFull
	}
	return best, 0
}

func (m *members) opened(i int) { m.count[i]++ }
func (m *members) closed(i int) { m.count[i]-- }
