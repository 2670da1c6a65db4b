package analyzer

import (
	"net/netip"
	"testing"
	"time"
)

// TestWhoIsFirst compares two points by handshakes that both saw.
func TestWhoIsFirst(t *testing.T) {
	const us = int64(time.Microsecond)
	type pair struct{ p, q handshake }
	// seen is a handshake that takes out to get from p to q and home to get
	// back, between clocks that are an hour apart.
	seen := func(out, home int64, p, q ttls) pair {
		x := handshake{syn: 1000, synAck: 900_000, syns: 1, synAcks: 1, ttl: p}
		y := handshake{syn: 1000 + out + int64(time.Hour), synAck: 900_000 - home + int64(time.Hour), syns: 1, synAcks: 1, ttl: q}
		return pair{x, y}
	}
	same := ttls{64, 64}
	many := func(n int, of ...pair) []pair {
		var out []pair
		for i := range n {
			out = append(out, of[i%len(of)])
		}
		return out
	}
	half := func(p pair) pair { // no SYN-ACK
		p.p.synAck, p.p.synAcks, p.p.ttl.synAck = 0, 0, 0
		return p
	}
	retried := func(p pair) pair {
		p.p.syns, p.q.syns = 3, 2
		return p
	}
	for _, row := range []struct {
		name   string
		pairs  []pair
		owner  string // of q's interface
		first  int8
		clash  bool
		shared int
	}{
		{"nothing is shared", nil, "", 0, false, 0},
		{"a router is in between", many(1, seen(0, 0, ttls{64, 63}, ttls{63, 64})), "", 1, false, 1},
		{"a router is in between, and q is nearer to the client", many(1, seen(0, 0, ttls{63, 64}, ttls{64, 63})), "", -1, false, 1},
		{"only SYNs pass the point", many(3, half(seen(0, 0, ttls{64, 0}, ttls{63, 64}))), "", 1, false, 3},
		{"many handshakes that take next to no time", many(40, seen(1, 1, same, same)), "", 1, false, 40},
		{"many handshakes that take less than none", many(40, seen(-1, -1, same, same)), "", -1, false, 40},
		{"a few that take a while", many(5, seen(15*us, 15*us, same, same)), "", 1, false, 5},
		{"a few that take next to no time", many(5, seen(1*us, 1*us, same, same)), "", 0, false, 5},
		{"a single one that takes longer than any disorder", many(1, seen(1000*us, 1000*us, same, same)), "", 1, false, 1},
		{"a single one that takes a while", many(1, seen(15*us, 15*us, same, same)), "", 0, false, 1},
		{"many, and they say both", many(40, seen(5, 5, same, same), seen(-5, -5, same, same)), "", 0, false, 40},
		{"many, and most take no time at all", many(40, seen(0, 0, same, same), seen(0, 0, same, same), seen(5, 5, same, same)), "", 0, false, 40},
		{"one of ten is an outlier", many(40, append(many(9, seen(1, 1, same, same)), seen(-1000*us, 0, same, same))...), "", 1, false, 40},
		{"retries are not compared in time", many(40, retried(seen(1000*us, 1000*us, same, same))), "", 0, false, 40},
		{"TTLs contradict the times", many(40, seen(5*us, 5*us, ttls{63, 64}, ttls{64, 63})), "", 0, true, 40},
		{"TTLs of SYNs contradict those of SYN-ACKs", many(40, seen(0, 0, ttls{64, 64}, ttls{63, 63})), "", 0, true, 40},
		{"q is on the client's own interface", many(1, seen(0, 0, same, same)), "198.18.0.1", -1, false, 1},
		{"q is on the server's own interface", many(1, seen(0, 0, same, same)), "198.18.0.2", 1, false, 1},
		{"q is on the client's own interface, and times say it is not", many(40, seen(5*us, 5*us, same, same)), "198.18.0.1", 0, true, 40},
	} {
		t.Run(row.name, func(t *testing.T) {
			p, q := newSurvey(Point{}, 0, false), newSurvey(Point{}, 1, false)
			q.packets = 1 // not p's capture once more
			if row.owner != "" {
				q.addrs = []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(row.owner), 24)}
			}
			between := tuple{netip.MustParseAddrPort("198.18.0.1:1"), netip.MustParseAddrPort("198.18.0.2:2")}
			for i, x := range row.pairs {
				x.p.hash, x.q.hash = uint64(i), uint64(i)
				x.p.tuple, x.q.tuple = between, between
				p.samples.all, q.samples.all = append(p.samples.all, x.p), append(q.samples.all, x.q)
			}
			all := compareAll([]*survey{p, q})
			if r := all[0][1]; r.first != row.first || r.clash != row.clash || r.shared != row.shared || r.same {
				t.Errorf("got %+v, want first %d clash %v shared %d", r, row.first, row.clash, row.shared)
			}
			if r := all[1][0]; r.first != -row.first || r.clash != row.clash {
				t.Errorf("the other way round: got %+v", r)
			}
		})
	}
}
