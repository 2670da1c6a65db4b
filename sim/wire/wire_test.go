package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/hopblame/hopblame/internal/inetsum"
	"github.com/hopblame/hopblame/internal/nflog"
)

// sent is a packet that left by a way out of a wire.
type sent struct {
	back bool
	at   time.Duration // since the test began
	Packet
}

// exit writes down what leaves.
type exit struct {
	mu    sync.Mutex
	begun time.Time
	sent  []sent
	fails error
}

func (e *exit) on(p Packet) error   { return e.note(p, false) }
func (e *exit) back(p Packet) error { return e.note(p, true) }
func (e *exit) close() error        { return nil }

func (e *exit) note(p Packet, back bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails == nil {
		e.sent = append(e.sent, sent{back, time.Since(e.begun), p})
	}
	return e.fails
}

// a segment of a connection between 198.18.60.247 or 2001:db8:60::247 and a server.
func frame(t *testing.T, ipv6 bool, tcp layers.TCP, payload string) nflog.Frame {
	t.Helper()
	if tcp.SrcPort == 0 {
		tcp.SrcPort, tcp.DstPort = 50000, 8000
	}
	tcp.Window = 500
	var head gopacket.SerializableLayer
	if ipv6 {
		h := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("2001:db8:60::247"), DstIP: net.ParseIP("2001:db8:160::81")}
		head = h
		tcp.SetNetworkLayerForChecksum(h)
	} else {
		h := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{198, 18, 60, 247}, DstIP: net.IP{198, 18, 160, 81}}
		head = h
		tcp.SetNetworkLayerForChecksum(h)
	}
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, head, &tcp, gopacket.Payload(payload)); err != nil {
		t.Fatal(err)
	}
	return nflog.Frame{Ether: []byte("\x02\x68\x62\x00\x00\x02\x02\x68\x62\x00\x00\x01\x08\x00"), Packet: b.Bytes()}
}

// through gives a wire some packets, a millisecond apart, and returns what left it in the
// end.
func through(t *testing.T, deed Deed, frames ...nflog.Frame) (out []sent, counts Counts) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := &exit{begun: time.Now()}
		w := New(e, deed)
		for _, f := range frames {
			w.Take(f)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Minute)
		if w.Held() != 0 {
			t.Errorf("%d packets are still held", w.Held())
		}
		var err error
		if counts, err = w.Counts(); err != nil {
			t.Error(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		out = e.sent
	})
	return out, counts
}

// numbers are the sequence numbers of packets.
func numbers(t *testing.T, all []sent) (seqs []uint32) {
	t.Helper()
	for _, p := range all {
		s, err := parse(p.IP)
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, s.tcp.Seq)
	}
	return seqs
}

func TestPacketsLeaveInTheOrderAndAtTheTimeThatTheirDeedSays(t *testing.T) {
	data := func(seq uint32) nflog.Frame { return frame(t, false, layers.TCP{Seq: seq, ACK: true, Ack: 7}, "x") }
	other := frame(t, false, layers.TCP{SrcPort: 50001, DstPort: 8000, Seq: 100, ACK: true}, "x")
	ms := time.Millisecond
	for _, row := range []struct {
		name   string
		deed   Deed
		frames []nflog.Frame
		seqs   []uint32
		at     []time.Duration
		made   uint64
	}{
		{"a delay keeps the order", Delay{After: 300 * ms}, []nflog.Frame{data(1), data(2), data(3)}, []uint32{1, 2, 3}, []time.Duration{300 * ms, 301 * ms, 302 * ms}, 0},
		{"a copy leaves behind its original", Duplicate{}, []nflog.Frame{data(1), data(2)}, []uint32{1, 1, 2, 2}, []time.Duration{0, 0, ms, ms}, 2},
		{"each changes places with the next", NewReorder(), []nflog.Frame{data(1), data(2), data(3), data(4)}, []uint32{2, 1, 4, 3}, []time.Duration{ms, ms, 3 * ms, 3 * ms}, 0},
		{"the last of a flight waits in vain", NewReorder(), []nflog.Frame{data(1), data(2), data(3)}, []uint32{2, 1, 3}, []time.Duration{ms, ms, 22 * ms}, 0},
		{"another connection is none to change places with", NewReorder(), []nflog.Frame{data(1), other}, []uint32{1, 100}, []time.Duration{20 * ms, 21 * ms}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			out, counts := through(t, row.deed, row.frames...)
			var at []time.Duration
			for _, p := range out {
				at = append(at, p.at)
			}
			if got := numbers(t, out); !slices.Equal(got, row.seqs) || !slices.Equal(at, row.at) {
				t.Errorf("%v left at %v, want %v at %v", got, at, row.seqs, row.at)
			}
			if want := (Counts{Returned: uint64(len(row.frames)), Made: row.made}); counts != want {
				t.Errorf("counted %+v, want %+v", counts, want)
			}
		})
	}
}

func TestJitterIsOfTheSeedAndStaysWithinItsBounds(t *testing.T) {
	deed := func(seed uint64) Delay {
		return Delay{After: 10 * time.Millisecond, Jitter: 50 * time.Millisecond, Random: rand.New(rand.NewPCG(seed, 0))}
	}
	var frames []nflog.Frame
	for seq := range uint32(200) {
		frames = append(frames, frame(t, false, layers.TCP{Seq: seq}, ""))
	}
	a, _ := through(t, deed(1), frames...)
	b, _ := through(t, deed(1), frames...)
	c, _ := through(t, deed(2), frames...)
	if !slices.Equal(numbers(t, a), numbers(t, b)) || slices.Equal(numbers(t, a), numbers(t, c)) {
		t.Error("the order is not a function of the seed")
	}
	if slices.IsSorted(numbers(t, a)) {
		t.Error("no packet has overtaken another")
	}
	for i, seq := range numbers(t, a) {
		if held := a[i].at - time.Duration(seq)*time.Millisecond; held < 10*time.Millisecond || held > 60*time.Millisecond {
			t.Errorf("packet %d was held for %v", seq, held)
		}
	}
}

// sound says whether a packet's TCP checksum is right.
func sound(t *testing.T, ip []byte) bool {
	t.Helper()
	s, err := parse(ip)
	if err != nil {
		t.Fatal(err)
	}
	return !s.damaged()
}

func TestACorruptPacketHasOneBitTurnedOverAndAWrongChecksum(t *testing.T) {
	for _, ipv6 := range []bool{false, true} {
		for _, payload := range []string{"", "POST /batch"} {
			f := frame(t, ipv6, layers.TCP{Seq: 1, SYN: payload == ""}, payload)
			if !sound(t, f.Packet) {
				t.Fatal("the packet is damaged from the start")
			}
			places := map[int]bool{}
			for seed := range uint64(50) {
				out, _ := through(t, Corrupt{rand.New(rand.NewPCG(seed, 0))}, f)
				if len(out) != 1 || sound(t, out[0].IP) {
					t.Fatalf("seed %d: %d packets, or a checksum that is right", seed, len(out))
				}
				turned := 0
				for i := range f.Packet {
					if n := bits.OnesCount8(f.Packet[i] ^ out[0].IP[i]); n > 0 {
						turned += n
						places[i] = true
					}
				}
				if turned != 1 {
					t.Errorf("seed %d: %d bits are turned over", seed, turned)
				}
			}
			head := map[bool]int{false: 20, true: 40}[ipv6]
			for i := range places {
				if payload != "" && i < head+20 || payload == "" && (i < head+14 || i >= head+20) {
					t.Errorf("byte %d is damaged", i)
				}
			}
			if len(places) < 5 {
				t.Errorf("only %d places are ever damaged", len(places))
			}
		}
	}
}

func TestARewrittenPacketHasOneFieldChangedAndRightChecksums(t *testing.T) {
	mss := layers.TCPOption{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}}
	stamps := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: binary.BigEndian.AppendUint32([]byte{0, 0, 0, 5}, 9)}
	for _, ipv6 := range []bool{false, true} {
		for _, payload := range []string{"", "POST"} {
			f := frame(t, ipv6, layers.TCP{Seq: 1<<32 - 10, SYN: payload == "", Options: []layers.TCPOption{mss, stamps}}, payload)
			for _, row := range []struct {
				deed            Rewrite
				ttl             uint8
				mss, seq, tsval uint32
			}{
				{Rewrite{TTL: 1}, 1, 1460, 1<<32 - 10, 5},
				{Rewrite{MSS: 600}, 64, 600, 1<<32 - 10, 5},
				{Rewrite{Seq: 100}, 64, 1460, 90, 5},
				{Rewrite{TSval: 10}, 64, 1460, 1<<32 - 10, 1<<32 - 5},
			} {
				out, counts := through(t, row.deed, f)
				s, err := parse(out[0].IP)
				if err != nil {
					t.Fatal(err)
				}
				head := s.network.LayerContents()
				ttl := head[len(head)-12]
				if ipv6 {
					ttl = head[7]
				} else if inetsum.Fold(inetsum.Add(0, head)) != 0xffff {
					t.Errorf("%+v: the IP header's checksum is wrong", row.deed)
				}
				o := s.tcp.Options[0].OptionData
				tsval, tsecr := binary.BigEndian.Uint32(s.tcp.Options[1].OptionData), binary.BigEndian.Uint32(s.tcp.Options[1].OptionData[4:])
				if tsval != row.tsval || tsecr != 9 {
					t.Errorf("%+v: time stamps %d and %d", row.deed, tsval, tsecr)
				}
				if got := uint32(o[0])<<8 | uint32(o[1]); ttl != row.ttl || got != row.mss || s.tcp.Seq != row.seq || s.damaged() || counts != (Counts{Returned: 1}) {
					t.Errorf("%+v: TTL %d, MSS %d, number %d, damaged: %v", row.deed, ttl, got, s.tcp.Seq, s.damaged())
				}
			}
		}
	}
}

func TestARewriteRepairsNothing(t *testing.T) {
	f := frame(t, false, layers.TCP{Seq: 1, ACK: true}, "POST")
	f.Packet[len(f.Packet)-1] ^= 1
	if out, _ := through(t, Rewrite{Seq: 7}, f); sound(t, out[0].IP) {
		t.Error("what was damaged on another link is whole again")
	}
}

func TestWhatIsDamagedAlreadyIsNotRepaired(t *testing.T) {
	f := frame(t, false, layers.TCP{Seq: 1, SYN: true}, "")
	again := func() Corrupt { return Corrupt{rand.New(rand.NewPCG(1, 0))} }
	once, _ := through(t, again(), f)
	twice, _ := through(t, again(), nflog.Frame{Ether: f.Ether, Packet: once[0].IP}) // the same bit
	if sound(t, twice[0].IP) {
		t.Error("the second wire has undone what the first did")
	}
}

func TestAForgedRSTIsTheOneThatItsReceiverWaitsFor(t *testing.T) {
	for _, ipv6 := range []bool{false, true} {
		for _, row := range []struct {
			name     string
			back     bool
			seq, ack uint32
		}{
			{"in the name of whom the packet is for", true, 7, 1004},
			{"in the name of who sent the packet", false, 1000, 7},
		} {
			f := frame(t, ipv6, layers.TCP{Seq: 1000, Ack: 7, ACK: true}, "POST")
			out, counts := through(t, InjectRST{Back: row.back}, f)
			if len(out) != 2 || out[0].back != row.back || out[1].back || !bytes.Equal(out[1].IP, f.Packet) || counts != (Counts{1, 1}) {
				t.Fatalf("%s: %d packets left: %+v", row.name, len(out), counts)
			}
			rst, err := parse(out[0].IP)
			if err != nil {
				t.Fatal(err)
			}
			mine, err := parse(f.Packet)
			if err != nil {
				t.Fatal(err)
			}
			from := mine.connection()
			if row.back {
				from = [2]gopacket.Flow{from[0].Reverse(), from[1].Reverse()}
			}
			if rst.connection() != from || !rst.tcp.RST || rst.tcp.Seq != row.seq || rst.tcp.Ack != row.ack || !sound(t, out[0].IP) {
				t.Errorf("%s: %v, %+v", row.name, rst.connection(), rst.tcp)
			}
		}
	}
}

func TestWhatCannotBeDoneIsAnErrorAndThePacketGoesOnAllTheSame(t *testing.T) {
	udp := nflog.Frame{Ether: make([]byte, 14), Packet: append([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 60, 247, 198, 18, 160, 81}, make([]byte, 8)...)}
	for _, deed := range []Deed{NewReorder(), Corrupt{}, InjectRST{}, Rewrite{TTL: 1}} {
		e := &exit{}
		w := New(e, deed)
		w.Take(udp)
		if counts, err := w.Counts(); !errors.Is(err, errNotTCP) || counts.Returned != 1 {
			t.Errorf("%T: %+v, %v", deed, counts, err)
		}
		w.Close()
	}
	e := &exit{fails: errors.New("no buffer space")}
	w := New(e, Duplicate{})
	w.Take(udp)
	if counts, err := w.Counts(); err == nil || !strings.Contains(err.Error(), "put a packet back on its way: no buffer space") || counts != (Counts{}) {
		t.Errorf("%+v, %v", counts, err)
	}
	w.Close()
}

func TestAClosedWireLetsGoOfWhatItHolds(t *testing.T) {
	e := &exit{}
	w := New(e, Delay{After: time.Hour})
	w.Take(frame(t, false, layers.TCP{Seq: 1}, ""))
	if w.Held() != 1 {
		t.Errorf("%d packets are held", w.Held())
	}
	if err := w.Close(); err != nil || len(e.sent) != 0 {
		t.Errorf("%d packets left, %v", len(e.sent), err)
	}
}
