package analyzer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
)

// TestCopiesAreToldFromRepeats shows a point pairs of packets and asks whether the
// second is the first one captured again.
func TestCopiesAreToldFromRepeats(t *testing.T) {
	type edit func(*layers.IPv4, *layers.TCP)
	plain := func(*layers.IPv4, *layers.TCP) {}
	build := func(flags byte, id uint16, e edit) []byte {
		ip, tcp := *inner4, innerTCP()
		ip.Id = id
		tcp.SYN, tcp.ACK, tcp.RST, tcp.Options = flags&flagSYN != 0, flags&flagACK != 0, flags&flagRST != 0, nil
		e(&ip, tcp)
		return join(t, &ip, tcp, raw("data"))
	}
	const us = time.Microsecond
	for _, row := range []struct {
		name   string
		flags  byte
		id     uint16
		change edit
		apart  time.Duration
		copies bool // the point has shown before that it copies
		want   bool
	}{
		{"a SYN, 2 µs later", flagSYN, 0, plain, 2 * us, false, true},
		{"a SYN, captured before its copy with an earlier time", flagSYN, 0, plain, -2 * us, false, true},
		{"a SYN behind a router: TTL less one, another check sum", flagSYN, 5, func(ip *layers.IPv4, tcp *layers.TCP) { ip.TTL--; tcp.Checksum = 7 }, 40 * us, false, true},
		{"a SYN that is repeated after a millisecond", flagSYN, 0, plain, time.Millisecond, true, false},
		{"a SYN that is repeated after a second", flagSYN, 5, plain, time.Second, true, false},
		{"a SYN with another IP ID", flagSYN, 5, func(ip *layers.IPv4, _ *layers.TCP) { ip.Id++ }, 2 * us, true, false},
		{"a SYN behind NAT", flagSYN, 5, func(ip *layers.IPv4, _ *layers.TCP) { ip.SrcIP = []byte{198, 18, 1, 1} }, 2 * us, true, false},
		{"data with an IP ID", flagACK, 5, plain, 2 * us, false, true},
		{"data without one: a fast retransmission, for all that is known", flagACK, 0, plain, 2 * us, false, false},
		{"data without one, at a point that copies", flagACK, 0, plain, 2 * us, true, true},
		{"data that is sent again with another IP ID", flagACK, 5, func(ip *layers.IPv4, _ *layers.TCP) { ip.Id += 3 }, 2 * us, true, false},
		{"the next segment", flagACK, 5, func(_ *layers.IPv4, tcp *layers.TCP) { tcp.Seq += 4 }, 2 * us, true, false},
		{"an ACK that opens the window", flagACK, 0, func(_ *layers.IPv4, tcp *layers.TCP) { tcp.Window++ }, 2 * us, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := copies{all: row.copies}
			var p packet
			ask := func(at time.Duration, e edit) bool {
				p.time = storyStart.Add(at).UnixNano()
				if !decode(linkRaw, build(row.flags, row.id, e), &p) {
					t.Fatal("not decoded")
				}
				return c.are(&p)
			}
			if ask(0, plain) {
				t.Error("the first one is a copy of nothing")
			}
			if got := ask(row.apart, row.change); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}

// TestPacketsInMidstreamAreLookedUpOnceThereWereCopies is about the cost: a point
// that does not copy is asked about few packets.
func TestPacketsInMidstreamAreLookedUpOnceThereWereCopies(t *testing.T) {
	var c copies
	p := packet{src: inner4.SrcIP, dst: inner4.DstIP, ipid: 1, hasIPID: true, time: 1}
	twice := func(flags byte) bool {
		p.flags = flags
		p.seq++
		p.time += 10e6
		return !c.are(&p) && c.are(&p)
	}
	for range copyStart {
		p.seq++
		c.are(&p)
	}
	if twice(flagACK) {
		t.Error("data is looked up although there were no copies")
	}
	for range copyProof {
		if !twice(flagSYN) {
			t.Error("a SYN's copy was not seen")
		}
	}
	if !twice(flagACK) {
		t.Error("data is not looked up although there were copies")
	}
}

// TestAPointThatShowsEveryPacketTwice gives the same verdicts as one that does
// not, and says so.
func TestAPointThatShowsEveryPacketTwice(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		tell := func(twice string) *Report {
			s := newStory(t)
			s.v6, s.twice = v6, twice
			s.failing(at, 17, 54373, 2, "firewall/feth11", "")
			s.failing(at, 18, 54374, 1, "", "server1/eth0")
			s.background(0, 300)
			return s.analyze()
		}
		once := tell("")
		for _, point := range []string{"client/eth0", "f5/0.0", "firewall/feth11", "firewall/feth10"} {
			r := tell(point)
			i := slices.IndexFunc(r.Points, func(p PointReport) bool { return p.Name == point })
			if r.Points[i].Packets < 2*once.Points[i].Packets-1 {
				t.Errorf("%s: %d packets, want them twice", point, r.Points[i].Packets)
			}
			if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "frames are duplicates within 1 ms (SPAN or -i any): taken once") {
				t.Errorf("%s: warnings %q", point, r.Warnings)
			}
			if r.Requests != once.Requests || len(r.Verdicts) != len(once.Verdicts) {
				t.Fatalf("%s: got %s", point, show(r))
			}
			for k, v := range r.Verdicts {
				w := once.Verdicts[k]
				if v.Hop != w.Hop || v.Cause != w.Cause || len(v.Evidence) != len(w.Evidence) {
					t.Errorf("%s: got %s %s with %d pieces of evidence, want %s %s with %d", point, v.Hop, v.Cause, len(v.Evidence), w.Hop, w.Cause, len(w.Evidence))
				}
			}
		}
	}
}
