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

// open says whether there is always a member: some are enabled, without limits, and
// nobody finds them down.
func (p *Pool) open() bool {
	return p.Monitor.Type == MonitorNone && len(p.Turns()) > 0 &&
		!slices.ContainsFunc(p.Members, func(m Member) bool { return m.ConnectionLimit > 0 })
}

// Turns are indexes of members in the order in which these have their turns.
type Turns []int

// Member returns the index of the member that a request goes to, -1 if there is none.
// It goes by the request's ordinal, not by arrival, so that it is the same at any
// concurrency.
func (t Turns) Member(ordinal, attempt int) int {
	if len(t) == 0 {
		return -1
	}
	return t[(ordinal+attempt)%len(t)]
}

// one says whether it is always the same member's turn.
func (t Turns) one() bool { return len(t) > 0 && len(slices.Compact(slices.Clone(t))) == 1 }

// Turns returns the turns of the pool whose members are all up.
func (p *Pool) Turns() Turns { return p.turns(p.enabled) }

func (p *Pool) enabled(i int) bool { return p.Members[i].State != Disabled }

// turns leaves out the members that may not be used. Of ratios 3 and 1 the turns are
// 0, 1, 0, 0.
func (p *Pool) turns(usable func(i int) bool) (order Turns) {
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

// members knows which members can be used. It belongs to the loop's thread.
type members struct {
	pool  *Pool
	order Turns // of the members that are enabled and not down
	down  []bool
	count []int // connections of each member
}

func newMembers(p *Pool) *members {
	m := &members{pool: p, down: make([]bool, len(p.Members)), count: make([]int, len(p.Members))}
	m.order = p.Turns()
	return m
}

// set is told by a monitor whether a member is up.
func (m *members) set(i int, up bool) {
	m.down[i] = !up
	m.order = m.pool.turns(func(i int) bool { return m.pool.enabled(i) && !m.down[i] })
}

// none says whether no member can be used.
func (m *members) none() bool { return len(m.order) == 0 }

// pick returns the member whose turn it is; -1 and why if there is none.
func (m *members) pick(turn int) (int, Event) {
	if len(m.pool.Members) == 0 {
		return -1, NoServer
	}
	if m.none() {
		return -1, NoMember
	}
	best := -1
	for k := range m.order {
		i := m.order.Member(turn, k)
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
