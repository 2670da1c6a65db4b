package train

import (
	"net/netip"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
)

func TestWhatRepeatsAProofProvesAsMuch(t *testing.T) {
	from, to := netip.MustParseAddrPort("198.18.60.247:50000"), netip.MustParseAddrPort("198.18.160.81:8000")
	packet := func(change func(*analyzer.Packet)) sameness {
		p := analyzer.Packet{Src: from, Dst: to, Seq: 7, Flags: analyzer.FlagSYN}
		change(&p)
		return samenessOf(&p)
	}
	for _, row := range []struct {
		name string
		one  func(*analyzer.Packet) // both
		two  func(*analyzer.Packet) // the second one only
		want bool
	}{
		{"the SYN once more", func(*analyzer.Packet) {}, func(*analyzer.Packet) {}, true},
		{"the SYN with another sequence number is of another attempt", func(*analyzer.Packet) {}, func(p *analyzer.Packet) { p.Seq = 8 }, false},
		{"another port's SYN", func(*analyzer.Packet) {}, func(p *analyzer.Packet) { p.Src = netip.AddrPortFrom(from.Addr(), 50001) }, false},
		{"its SYN-ACK", func(*analyzer.Packet) {}, func(p *analyzer.Packet) { p.Src, p.Dst, p.Flags = to, from, p.Flags|analyzer.FlagACK }, false},
		{"data again, with PSH and a later acknowledgment", func(p *analyzer.Packet) { p.Flags, p.Len, p.Ack = analyzer.FlagACK, 100, 1 },
			func(p *analyzer.Packet) { p.Flags, p.Ack = p.Flags|analyzer.FlagPSH, 2 }, true},
		{"other data", func(p *analyzer.Packet) { p.Flags, p.Len = analyzer.FlagACK, 100 }, func(p *analyzer.Packet) { p.Len = 99 }, false},
		{"the handshake's last ACK again", func(p *analyzer.Packet) { p.Flags, p.Ack = analyzer.FlagACK, 1 }, func(*analyzer.Packet) {}, true},
		{"a bare ACK of something else", func(p *analyzer.Packet) { p.Flags, p.Ack = analyzer.FlagACK, 1 }, func(p *analyzer.Packet) { p.Ack = 2 }, false},
		{"an ICMP error about the SYN is no SYN", func(*analyzer.Packet) {}, func(p *analyzer.Packet) { p.ICMP, p.ICMPType = true, 3 }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			one := packet(row.one)
			two := packet(func(p *analyzer.Packet) { row.one(p); row.two(p) })
			s := &solution{Roles: map[string]map[uint64]role{"x.pcapng": {5: proof}}}
			at := &sieve{is: map[uint64]sameness{5: one, 9: two}, packets: map[sameness][]uint64{}}
			at.packets[one] = append(at.packets[one], 5)
			at.packets[two] = append(at.packets[two], 9)
			s.repeat("x.pcapng", at, &analyzer.Report{})
			if got := s.roleOf("x.pcapng", 9) == proof; got != row.want {
				t.Errorf("it proves: %v, want %v", got, row.want)
			}
		})
	}
}

func TestAQuestionRepeatedInVainProvesAsMuch(t *testing.T) {
	start := time.Unix(100, 0)
	question := func(at time.Duration) analyzer.Evidence {
		e := frame("server2/eth0", "x.pcapng", 2, "", "arp.opcode==1 && arp.dst.proto_ipv4==198.18.160.82")
		e.Time = start.Add(at)
		return e
	}
	ended := frame("client/eth0", "client-eth0.pcapng", 9, "", toClient+isRST)
	ended.Time = start.Add(4 * time.Second)
	v := analyzer.Verdict{Hop: "server2", Cause: analyzer.NeighbourUnresolved, Between: []string{"server2/eth0"}, Evidence: []analyzer.Evidence{question(0), ended}}
	at := &sieve{}
	for i, o := range []struct {
		second int64
		digest byte
	}{{50, 1}, {100, 1}, {101, 1}, {101, 2}, {102, 1}, {107, 1}, {108, 1}, {200, 1}} {
		at.others = append(at.others, other{frame: uint64(i + 1), time: o.second * 1e9, digest: [32]byte{o.digest}})
	}
	s := &solution{Roles: map[string]map[uint64]role{"x.pcapng": {2: proof}}}
	s.repeat("x.pcapng", at, &analyzer.Report{Verdicts: []analyzer.Verdict{v}})
	for frame, want := range map[uint64]role{1: unrelated, 2: proof, 3: proof, 4: unrelated, 5: proof, 6: proof, 7: unrelated, 8: unrelated} {
		if got := s.roleOf("x.pcapng", frame); got != want {
			t.Errorf("frame %d: got %d, want %d", frame, got, want)
		}
	}
}

func TestPacketsThatShowItUncited(t *testing.T) {
	client := netip.MustParseAddrPort("198.18.50.88:40000")
	for _, row := range []struct {
		name  string
		cause analyzer.Cause
		hop   string
		p     analyzer.Packet
		want  bool
	}{
		{"the client's window is shut", analyzer.ZeroWindow, "client", analyzer.Packet{Src: client, Flags: analyzer.FlagACK}, true},
		{"it is open", analyzer.ZeroWindow, "client", analyzer.Packet{Src: client, Flags: analyzer.FlagACK, Window: 1}, false},
		{"a RST has no window", analyzer.ZeroWindow, "client", analyzer.Packet{Src: client, Flags: analyzer.FlagRST}, false},
		{"the server's is the server's", analyzer.ZeroWindow, "server2", analyzer.Packet{Src: client, Flags: analyzer.FlagACK}, false},
		{"a request that nobody takes from the queue", analyzer.ListenQueueFull, "server2", analyzer.Packet{Flags: analyzer.FlagACK, Len: 208}, true},
		{"the handshake's last ACK, again", analyzer.ListenQueueFull, "server2", analyzer.Packet{Flags: analyzer.FlagACK, Seq: 212}, true},
		{"its SYN is like any other", analyzer.ListenQueueFull, "server2", analyzer.Packet{Flags: analyzer.FlagSYN}, false},
		{"data in any other case", analyzer.NoAnswer, "server2", analyzer.Packet{Flags: analyzer.FlagACK, Len: 208}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := verdict()
			v.Cause, v.Hop = row.cause, row.hop
			if got := shows(&v, &row.p); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
