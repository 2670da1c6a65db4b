package train

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/ladder"
)

// ends are the two of a connection, the lesser first.
type ends [2]netip.AddrPort

func endsOf(a, b netip.AddrPort) ends {
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return ends{a, b}
}

// failedConns are the connections that any evidence about a failed request is of, on both
// sides of the f5, and the verdicts on it.
func failedConns(r *analyzer.Report) map[ends][]*analyzer.Verdict {
	conns := map[ends][]*analyzer.Verdict{}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		note := func(list []analyzer.Evidence) {
			for k := range list {
				if c, ok := ladder.ConnOf(list[k].Filter); ok {
					if at := endsOf(c.Client, c.Server); !slices.Contains(conns[at], v) {
						conns[at] = append(conns[at], v)
					}
				}
			}
		}
		note(v.Evidence)
		for _, h := range v.Eliminated {
			note(h.Evidence)
		}
	}
	return conns
}

// shows tells whether a packet at one of the points of a verdict proves it as well as what
// the analyzer cites: that the client's window is shut, of which it cites what the f5 says;
// or ACKs and data on a connection that the server never took for established.
func shows(v *analyzer.Verdict, p *analyzer.Packet) bool {
	const told = analyzer.FlagSYN | analyzer.FlagFIN | analyzer.FlagRST
	switch {
	case p.ICMP:
		return false
	case v.Cause == analyzer.ZeroWindow && v.Hop == "client":
		return p.Src.String() == v.Request.Client && p.Window == 0 && p.Flags&told == 0
	case v.Cause == analyzer.ListenQueueFull:
		return p.Flags&told == 0
	}
	return false
}

// sameness is what a packet and its repetitions have in common: a retransmission may have
// another PSH, and data another acknowledgment.
type sameness struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    byte
	length   int
	icmp     [2]byte
	error    bool
}

func samenessOf(p *analyzer.Packet) sameness {
	const told = analyzer.FlagSYN | analyzer.FlagFIN | analyzer.FlagRST
	s := sameness{src: p.Src, dst: p.Dst, seq: p.Seq, flags: p.Flags & (told | analyzer.FlagACK), length: p.Len,
		icmp: [2]byte{p.ICMPType, p.ICMPCode}, error: p.ICMP}
	if p.Len == 0 && p.Flags&told == 0 {
		s.ack = p.Ack
	}
	return s
}

// sieve is one point's frames.
type sieve struct {
	of      []role                // what each is of
	packets map[sameness][]uint64 // of failed requests
	is      map[uint64]sameness   // the same by frame
	shown   []uint64              // that show what a verdict says
	others  []other               // that are no TCP
}

// other is a frame that is no TCP: a question for a hardware address, say.
type other struct {
	frame  uint64
	time   int64 // ns
	digest [sha256.Size]byte
}

// set says what a frame is of.
func (s *sieve) set(frame uint64, r role) {
	s.reach(frame)
	s.of[frame-1] = r
}

// reach makes room for frames up to one.
func (s *sieve) reach(frame uint64) {
	if n := int(frame) - len(s.of); n > 0 {
		s.of = append(s.of, make([]role, n)...)
	}
}

// sift reads the captures once more. It learns what each frame is of, and gives what repeats
// a cited frame the role of that: the same packet at the same point proves as much.
func (s *solution) sift(ctx context.Context, points []analyzer.Point, r *analyzer.Report) error {
	sieves, failed := make([]sieve, len(r.Points)), failedConns(r)
	for i := range sieves {
		sieves[i] = sieve{packets: map[sameness][]uint64{}, is: map[uint64]sameness{}}
	}
	var shut *analyzer.Evidence // of the example, at the only point that there is for that
	err := analyzer.Packets(ctx, points, r, func(i int, p *analyzer.Packet) {
		at := &sieves[i]
		verdicts := failed[endsOf(p.Src, p.Dst)]
		if verdicts == nil {
			at.set(p.Frame, healthy)
			return
		}
		at.set(p.Frame, idle)
		k := samenessOf(p)
		at.packets[k], at.is[p.Frame] = append(at.packets[k], p.Frame), k
		for _, v := range verdicts {
			if slices.Contains(v.Between, r.Points[i].Name) && shows(v, p) {
				at.shown = append(at.shown, p.Frame)
				if v.Request == s.Example.Request && v.Cause == analyzer.ZeroWindow {
					shut = evidenceOf(r.Points[i].Name, p)
				}
			}
		}
	})
	if err != nil {
		return fmt.Errorf("exercise: %w", err)
	}
	if err := others(ctx, points, r, sieves); err != nil {
		return fmt.Errorf("exercise: %w", err)
	}
	if shut != nil {
		s.Proof = *shut
	}
	s.Background = map[string][]role{}
	for i := range sieves {
		file := base(r.Points[i].File)
		s.Background[file] = sieves[i].of
		for _, frame := range sieves[i].shown {
			s.Roles[file][frame] = proof
		}
		s.repeat(file, &sieves[i], r)
	}
	return nil
}

// evidenceOf cites a packet with a window of zero.
func evidenceOf(point string, p *analyzer.Packet) *analyzer.Evidence {
	ip := "ip"
	if p.Src.Addr().Is6() {
		ip = "ipv6"
	}
	return &analyzer.Evidence{Kind: analyzer.KindFrame, Point: point, File: p.File, Frame: p.Frame, Time: p.Time, What: "the client's receive window is shut",
		Filter: fmt.Sprintf("%s.src==%s && tcp.srcport==%d && %[1]s.dst==%[4]s && tcp.dstport==%d && tcp.window_size_value==0", ip, p.Src.Addr(), p.Src.Port(), p.Dst.Addr(), p.Dst.Port())}
}

// others gathers what is no TCP, and sees how many frames there are.
func others(ctx context.Context, points []analyzer.Point, r *analyzer.Report, sieves []sieve) error {
	list, end, err := analyzer.OpenFrames(ctx, points, r)
	if err != nil {
		return err
	}
	defer end()
	const addresses = 12 // of Ethernet, before the protocol: a question to all is also put to one
	for i, frames := range list {
		for {
			f, err := frames.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			sieves[i].reach(f.Number)
			if sieves[i].of[f.Number-1] == unrelated && len(f.Data) > addresses {
				sieves[i].others = append(sieves[i].others, other{f.Number, f.Time, sha256.Sum256(f.Data[addresses:])})
			}
		}
	}
	return nil
}

// repeat gives repetitions their roles: those of packets whenever they were seen, and those
// of what is no TCP while a request waited, or if they were in vain.
func (s *solution) repeat(file string, at *sieve, r *analyzer.Report) {
	roles := s.Roles[file]
	all := map[sameness]role{}
	for frame, is := range roles {
		if k, ok := at.is[frame]; ok {
			all[k] = max(all[k], is)
		}
	}
	for k, is := range all {
		for _, frame := range at.packets[k] {
			roles[frame] = max(roles[frame], is)
		}
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		from, to := span(v)
		for k := range v.Evidence {
			e := &v.Evidence[k]
			if e.Kind != analyzer.KindFrame || base(e.File) != file {
				continue
			}
			for _, frame := range at.asked(e.Frame, from, to) {
				roles[frame] = max(roles[frame], roleIn(v, e))
			}
		}
	}
}

// asksAgain is how soon a hop asks again that was not told, generously: RFC 1122 §2.3.2.1
// recommends at most one question a second, RFC 4861 §10 has RETRANS_TIMER at one.
const asksAgain = int64(2500 * time.Millisecond)

// asked are the repetitions of a frame that is no TCP: those in a span of time, and those
// that soon are repeated themselves, and so were in vain.
func (s *sieve) asked(frame uint64, from, to time.Time) (frames []uint64) {
	i := slices.IndexFunc(s.others, func(o other) bool { return o.frame == frame })
	if i < 0 {
		return nil
	}
	next := int64(math.MaxInt64) // when it is repeated
	for _, o := range slices.Backward(s.others) {
		if o.digest != s.others[i].digest {
			continue
		}
		if next-o.time <= asksAgain || o.time >= from.UnixNano() && o.time <= to.UnixNano() {
			frames = append(frames, o.frame)
		}
		next = o.time
	}
	return frames
}

// span is from the first to the last frame that a verdict cites.
func span(v *analyzer.Verdict) (from, to time.Time) {
	for i := range v.Evidence {
		switch t := v.Evidence[i].Time; {
		case t.IsZero():
		case from.IsZero():
			from, to = t, t
		case t.Before(from):
			from = t
		case t.After(to):
			to = t
		}
	}
	return from, to
}
