package bigip

import (
	"slices"
	"testing"
)

func TestMembersTakeTurnsByOrdinalAndAttempt(t *testing.T) {
	pool := Pool{Members: []Member{{Name: "server1"}, {Name: "server2"}, {Name: "server3"}}}
	for _, row := range []struct{ ordinal, attempt, want int }{{0, 0, 0}, {1, 0, 1}, {5, 0, 2}, {5, 1, 0}, {1 << 30, 2, 0}} {
		if got := pool.Turns().Member(row.ordinal, row.attempt); got != row.want {
			t.Errorf("request %d, attempt %d goes to member %d, want %d", row.ordinal, row.attempt, got, row.want)
		}
	}
}

func TestTheTurnsAreThoseOfTheMode(t *testing.T) {
	for _, row := range []struct {
		name    string
		mode    LoadBalancing
		members []Member
		want    Turns
	}{
		{"each in its turn", RoundRobin, []Member{{}, {}}, Turns{0, 1}},
		{"ratios count for nothing in round-robin", RoundRobin, []Member{{Ratio: 3}, {}}, Turns{0, 1}},
		{"each as often as its ratio says, spread out", RatioMember, []Member{{Ratio: 3}, {}, {Ratio: 2}}, Turns{0, 1, 2, 0, 2, 0}},
		{"one that is disabled has none", RoundRobin, []Member{{State: Disabled}, {}, {}}, Turns{1, 2}},
		{"nor has its ratio", RatioMember, []Member{{Ratio: 3, State: Disabled}, {}}, Turns{1}},
		{"nobody is there", RoundRobin, nil, nil},
		{"nobody is enabled", RoundRobin, []Member{{State: Disabled}}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			pool := Pool{LoadBalancing: row.mode, Members: row.members}
			if got := pool.Turns(); !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

func TestAConnectionGoesToAMemberThatCanTakeIt(t *testing.T) {
	for _, row := range []struct {
		name    string
		pool    Pool
		down    []int
		count   []int
		turn    int
		want    int
		because Event
	}{
		{"the one whose turn it is", Pool{Members: []Member{{}, {}, {}}}, nil, nil, 4, 1, 0},
		{"the turns are those of the members that are up", Pool{Members: []Member{{}, {}, {}}}, []int{1}, nil, 3, 2, 0},
		{"none is up", Pool{Members: []Member{{}, {State: Disabled}}}, []int{0}, nil, 3, -1, NoMember},
		{"the next one, where a member has as many as it may have", Pool{Members: []Member{{ConnectionLimit: 2}, {}}}, nil, []int{2, 9}, 0, 1, 0},
		{"below its limit it is used", Pool{Members: []Member{{ConnectionLimit: 2}, {}}}, nil, []int{1, 9}, 0, 0, 0},
		{"all have as many as they may have", Pool{Members: []Member{{ConnectionLimit: 2}, {ConnectionLimit: 1}}}, nil, []int{2, 1}, 0, -1, MembersFull},
		{"one is full and the other down", Pool{Members: []Member{{ConnectionLimit: 2}, {}}}, []int{1}, []int{2, 0}, 0, -1, MembersFull},
		{"the least busy", Pool{LoadBalancing: LeastConnections, Members: []Member{{}, {}, {}}}, nil, []int{4, 3, 5}, 0, 1, 0},
		{"of equally busy ones that whose turn it is", Pool{LoadBalancing: LeastConnections, Members: []Member{{}, {}, {}}}, nil, []int{3, 4, 3}, 2, 2, 0},
		{"the least busy is full", Pool{LoadBalancing: LeastConnections, Members: []Member{{}, {ConnectionLimit: 1}}}, nil, []int{4, 1}, 1, 0, 0},
		{"the least busy is down", Pool{LoadBalancing: LeastConnections, Members: []Member{{}, {}}}, []int{1}, []int{4, 0}, 1, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMembers(&row.pool)
			copy(m.count, row.count)
			for _, i := range row.down {
				m.set(i, false)
			}
			if got, because := m.pick(row.turn); got != row.want || because != row.because {
				t.Errorf("goes to %d, %v; want %d, %v", got, because, row.want, row.because)
			}
			for _, i := range row.down {
				m.set(i, true)
			}
			if !slices.Equal(m.order, row.pool.Turns()) {
				t.Errorf("with all up again the turns are %v", m.order)
			}
		})
	}
}

func TestItIsSaidWhetherARequestsWayFollowsFromItsOrdinalAndWhetherItHasOne(t *testing.T) {
	for _, row := range []struct {
		name         string
		edit         func(*Config)
		static, pass bool
	}{
		{"the incident's", func(*Config) {}, true, true},
		{"by ratio", func(c *Config) { c.Pool.LoadBalancing = RatioMember }, true, true},
		{"another member is disabled", func(c *Config) { c.Pool.Members = append(c.Pool.Members, Member{Name: "server2", State: Disabled}) }, true, true},
		{"without SNAT", func(c *Config) { c.SNAT.Type = NoSNAT }, true, true},
		{"through a snatpool, whatever the address", func(c *Config) { c.SNAT.Type, c.SNAT.Pool = SNATPool, addresses("198.18.60.5", "198.18.60.6") }, true, true},
		{"inside TLS", func(c *Config) { c.VirtualServer.Profiles = []Profile{ProfileTCP, ProfileHTTP, ProfileClientSSL} }, true, true},

		{"by the members' load", func(c *Config) { c.Pool.LoadBalancing = LeastConnections }, false, true},
		{"with a monitor", func(c *Config) { c.Pool.Monitor.Type = MonitorTCP }, false, false},
		{"with a limit of a member", func(c *Config) { c.Pool.Members[0].ConnectionLimit = 1 }, false, false},
		{"with a limit of the virtual server", func(c *Config) { c.VirtualServer.ConnectionLimit = 1 }, false, false},
		{"with few source ports", func(c *Config) { c.SNAT.Ports = 5 }, false, false},
		{"with source addresses of another family only", func(c *Config) { c.SNAT.Type, c.SNAT.Pool = SNATPool, addresses("2001:db8:60::5") }, false, false},
		{"without a member", func(c *Config) { c.Pool.Members = nil }, false, false},
		{"with connections that are used again", func(c *Config) { c.VirtualServer.Profiles = []Profile{ProfileTCP, ProfileHTTP, ProfileOneConnect} }, false, true},
		{"when the request is not read", func(c *Config) { c.VirtualServer.Profiles = []Profile{ProfileTCP} }, false, true},
		{"with a rule", func(c *Config) { c.Rules = []Rule{{Do: RuleReject}} }, false, false},
		{"with a limit for headers", func(c *Config) { c.HTTP.MaxHeaderSize = 100 }, false, false},
		{"of type fastl4", func(c *Config) { c.VirtualServer.Type = FastL4 }, false, true},
		{"of a virtual server that rejects", func(c *Config) { c.VirtualServer.Type = Reject }, false, false},
		{"of one that is disabled", func(c *Config) { c.VirtualServer.State = Disabled }, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := validConfig()
			row.edit(&c)
			if static, pass := c.Static(), c.LetsAllPass(); static != row.static || pass != row.pass {
				t.Errorf("said to be static: %v, and to let all pass: %v", static, pass)
			}
		})
	}
}
