package sim

import (
	"strings"
	"testing"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestAFaultThatNothingComesToIsRefused(t *testing.T) {
	const half = 0.5
	conn := fault.PerConnection
	ttl := func(at string, match fault.Match, way fault.Direction) fault.Fault {
		f := rewriting(at, match, way, 1, 0, 0)
		f.Name, f.Probability = map[bool]string{true: "other", false: "all"}[at == "link:switch-server2"], 1
		return f
	}
	for _, row := range []struct {
		name   string
		faults []fault.Fault
		never  string // the fault that is refused, and by what; "" for none
	}{
		{"behind one that takes every SYN", []fault.Fault{drop("all", "firewall", conn, 1), drop("late", "server1", conn, half)}, "late: all"},
		{"the order in the list is nothing to a place on the way", []fault.Fault{drop("late", "server1", conn, half), drop("all", "firewall", conn, 1)}, "late: all"},
		{"in front of it", []fault.Fault{drop("all", "firewall", conn, 1), drop("early", "link:f5-firewall", conn, half)}, ""},
		{"at the same place, listed later", []fault.Fault{drop("all", "firewall", conn, 1), drop("late", "firewall", conn, half)}, "late: all"},
		{"at the same place, listed before", []fault.Fault{drop("early", "firewall", conn, half), drop("all", "firewall", conn, 1)}, ""},
		{"behind one that takes nearly every SYN", []fault.Fault{drop("most", "firewall", conn, 0.999), drop("late", "server1", conn, half)}, ""},
		{"one that is never to strike", []fault.Fault{drop("all", "firewall", conn, 1), drop("late", "server1", conn, 0)}, ""},
		{"one way to it is free", []fault.Fault{drop("one", "link:switch-server1", conn, 1), dropAnswer("late", "firewall", conn, half)}, ""},
		{"both ways to it are shut", []fault.Fault{drop("one", "link:switch-server1", conn, 1), drop("two", "server2", conn, 1), dropAnswer("late", "firewall", conn, half)}, "late: one and two"},
		{"another member's", []fault.Fault{drop("one", "server1", conn, 1), act("dies", "server2", fault.Die, half)}, ""},
		{"SYN-ACKs meet what is nearest to the server first", []fault.Fault{dropAnswer("all", "firewall", conn, 1), dropAnswer("late", "link:f5-firewall", conn, half)}, "late: all"},
		{"a server that never gets a connection", []fault.Fault{reject("closed", "server1", 1), act("dies", "server1", fault.Die, half)}, "dies: closed"},
		{"a response that is never sent", []fault.Fault{act("silent", "server1", fault.StaySilent, 1), of(fault.Response, drop("late", "link:switch-server1", conn, half))}, "late: silent"},
		{"a response that is sent all the same", []fault.Fault{act("slow", "server1", fault.Die, 1), of(fault.Response, drop("late", "link:switch-server1", conn, half))}, ""},
		{"a client that asks nobody for anything", []fault.Fault{act("idle", topology.Client, fault.Dawdle, 1), drop("late", "firewall", conn, half)}, "late: idle"},
		{"every ACK is taken, and the data goes on", []fault.Fault{of(fault.ACK, drop("acks", "firewall", conn, 1)), of(fault.Data, drop("late", "firewall", conn, half))}, ""},
		{"every large packet is taken, and few are large", []fault.Fault{largerThan1400("small", "firewall"), of(fault.Data, drop("late", "firewall", conn, half))}, ""},
		{"a server that has no room for any connection", []fault.Fault{of(fault.AfterSYN, drop("full", "server1", conn, 1)), act("dies", "server1", fault.Die, half)}, "dies: full"},
		{"per packet, every one", []fault.Fault{drop("all", "firewall", fault.PerPacket, 1), drop("late", "server1", fault.PerTuple, half)}, "late: all"},
		{"every SYN is damaged, and goes on", []fault.Fault{wired("all", "link:f5-firewall", fault.Corrupt, fault.SYN, 1), drop("late", "server1", conn, half)}, ""},
		{"no SYN that is damaged is answered", []fault.Fault{wired("all", "link:f5-firewall", fault.Corrupt, fault.SYN, 1), dropAnswer("late", "firewall", conn, half)}, "late: all"},
		{"no SYN comes through the firewall, for its TTL", []fault.Fault{ttl("link:f5-firewall", fault.SYN, fault.ToServer), drop("late", "firewall", conn, half)}, "late: all"},
		{"no SYN-ACK does, and it is taken before", []fault.Fault{ttl("link:switch-server1", fault.SYNACK, fault.ToClient), ttl("link:switch-server2", fault.SYNACK, fault.ToClient), dropAnswer("early", "link:firewall-switch", conn, half)}, ""},
		{"behind a wire on the same link", []fault.Fault{wired("all", "link:f5-firewall", fault.Duplicate, fault.Any, 1), wired("late", "link:f5-firewall", fault.InjectRST, fault.Data, half)}, "late: all"},
		{"before it", []fault.Fault{wired("early", "link:f5-firewall", fault.InjectRST, fault.Data, half), wired("all", "link:f5-firewall", fault.Duplicate, fault.Any, 1)}, ""},
		{"a wire on another link", []fault.Fault{wired("all", "link:f5-firewall", fault.Duplicate, fault.Any, 1), wired("late", "link:firewall-switch", fault.InjectRST, fault.Data, half)}, ""},
		{"a wire that is listed before what the kernel drops", []fault.Fault{wired("late", "link:f5-firewall", fault.Duplicate, fault.SYN, half), drop("all", "link:f5-firewall", conn, 1)}, "late: all"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := config(10, 1, row.faults...)
			c.LargeRequests = half
			got := ""
			if err := c.Validate(); err != nil {
				got = err.Error()
			}
			name, by, _ := strings.Cut(row.never, ": ")
			if row.never == "" && got != "" || row.never != "" && (!strings.HasPrefix(got, "fault "+name+": at ") || !strings.Contains(got, ": no connection ever comes to it: "+by+", with probability 1, is before it; ")) {
				t.Errorf("got %q, want %q", got, row.never)
			}
		})
	}
	t.Run("a client that asks for nothing, and an f5 that asks a member at once", func(t *testing.T) {
		c := config(10, 1, act("idle", topology.Client, fault.Dawdle, 1), drop("late", "firewall", fault.PerTuple, half))
		c.F5.VirtualServer.Profiles = []bigip.Profile{bigip.ProfileTCP}
		if err := c.Validate(); err != nil {
			t.Error(err)
		}
	})
}
