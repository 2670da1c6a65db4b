package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/hopblame/hopblame/internal/pcapng"
	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Side of the full proxy that a point is on.
type Side string

// The sides.
const (
	Clientside Side = "clientside"
	Serverside Side = "serverside"
	Both       Side = "both"
)

// Point is a place where a capture is taken, and its file.
type Point struct {
	Hop, Face string
	Side      Side
	Taps      []Tap // merged into one file by time
	// FirstFrame is a frame to begin the file with, such as a BIG-IP's
	// FILEINFO; nil for none.
	FirstFrame []byte
	// AppendTrailer appends what a frame's own box writes behind it; nil for
	// nothing. It is called in the order of the frames' time.
	AppendTrailer func(dst []byte, f Frame) []byte
	// Take tells whether a frame gets into the file; nil for all that do. It is
	// called after AppendTrailer. Counts do not depend on it.
	Take   func(f Frame) bool
	Filter string // what Take goes by, as it was typed, for the file
}

// Name returns "hop/face".
func (p *Point) Name() string { return p.Hop + "/" + p.Face }

// Tap is an interface to listen on.
type Tap struct {
	Host      *topology.Host
	Interface string
	Addresses []netip.Prefix
	VLAN      uint16 // 802.1Q tag put into each frame; 0 for none
	// Resolved are hosts of which is counted who asks for their hardware addresses, and who
	// tells; none as a rule.
	Resolved []netip.Addr
}

// Frame is one captured frame, as the interface saw it: without tag and trailer.
type Frame struct {
	Time     int64 // ns since the epoch
	VLAN     uint16
	Outgoing bool // sent by the hop
	Data     []byte
}

// Count is what a tap saw of TCP: the side of the balance that owes nothing to
// nftables.
type Count struct {
	InICMP, OutICMP uint64 // ICMP errors about segments
	In, Out         uint64 // segments received and sent by the hop
	InSYN, OutSYN   uint64 // those with SYN and without ACK
	// Those with RST and ACK: the end of a connection, or a SYN refused. A RST without
	// ACK answers a segment of no connection (RFC 9293 §3.10.7.1).
	InRST, OutRST uint64
	// Questions for the hardware addresses of [Tap.Resolved], and answers. They are no
	// segments.
	InWhoHas, OutWhoHas, InIsAt, OutIsAt uint64
}

// Result is what a point's capture came to.
type Result struct {
	Point   Point
	Packets uint64  // in the file, without a FirstFrame
	Dropped uint64  // lost by the kernel for want of room
	Counts  []Count // by tap
}

// sweepEvery is how often the rings are emptied. Waiting for each block with
// poll(2) instead costs as much and wakes more often; a ring holds far more.
const sweepEvery = 20 * time.Millisecond

// holdBack is how long a merged file waits for a tap that says nothing: a block
// reaches the reader at most two retire timeouts after its first frame.
const holdBack = 3 * retireAfterMS * int64(time.Millisecond)

// drainDeadline bounds the wait for the last blocks at the end.
const drainDeadline = 5 * time.Second

// Session is a set of running captures. One goroutine, owned by it, reads them.
type Session struct {
	points []*pointState
	stop   chan struct{}
	ended  chan error
}

type pointState struct {
	Point
	out     io.WriteCloser
	writer  *pcapng.Writer
	taps    []*tapState
	trailer []byte
	packets uint64
	written atomic.Uint64 // packets as of the last sweep, for [Session.Packets]
}

type tapState struct {
	Tap
	id     int
	tag    [4]byte
	ring   *ring
	start  time.Time // from here on it misses nothing
	queue  []block
	read   uint64 // frames taken from the ring
	seen   uint64 // frames the kernel put into it
	lost   uint64
	counts Count
}

// Start opens a tap on every interface and begins to write. create makes a
// point's file. Frames sent after Start has returned are captured. failed is
// called, once at most and from the session's goroutine, when writing fails half
// way; Stop returns the same error.
func Start(points []Point, create func(*Point) (io.WriteCloser, error), failed func(error)) (*Session, error) {
	s := &Session{stop: make(chan struct{}), ended: make(chan error, 1)}
	for _, p := range points {
		st := &pointState{Point: p}
		s.points = append(s.points, st)
		if err := st.open(create); err != nil {
			return nil, errors.Join(fmt.Errorf("capture at %s: %w", p.Name(), err), s.close())
		}
	}
	go func() {
		err := s.run()
		if err != nil {
			failed(err)
		}
		s.ended <- err
	}()
	return s, nil
}

func (p *pointState) open(create func(*Point) (io.WriteCloser, error)) (err error) {
	if p.out, err = create(&p.Point); err != nil {
		return err
	}
	p.writer, err = pcapng.NewWriter(p.out, pcapng.Section{OS: "Linux", Application: "hopblame (" + runtime.Version() + ")"})
	if err != nil {
		return err
	}
	for _, t := range p.Taps {
		st := &tapState{Tap: t}
		st.tag = [4]byte{0x81, 0x00, byte(t.VLAN >> 8), byte(t.VLAN)} // IEEE 802.1Q
		if err := t.Host.Run(func() (err error) {
			st.ring, err = openRing(t.Interface)
			st.start = time.Now()
			return err
		}); err != nil {
			return fmt.Errorf("tap on %s: %w", t.Interface, err)
		}
		p.taps = append(p.taps, st)
		name, description := p.Name(), fmt.Sprintf("%s of %s", t.Interface, p.Hop)
		if len(p.Taps) > 1 {
			name, description = p.Face, fmt.Sprintf("VLAN %d (%s) of %s", t.VLAN, t.Interface, p.Hop)
		}
		if st.id, err = p.writer.AddInterface(pcapng.Interface{Name: name, Description: description, Addresses: t.Addresses, Filter: p.Filter}); err != nil {
			return err
		}
	}
	if p.FirstFrame != nil {
		return p.writer.WritePacket(p.taps[0].id, time.Now().UnixNano(), len(p.FirstFrame), p.FirstFrame)
	}
	return nil
}

// run sweeps until it is told to stop, then until nothing is left.
func (s *Session) run() error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.sweep(time.Now().UnixNano() - holdBack); err != nil {
				return err
			}
		case <-s.stop:
			return s.drain(tick)
		}
	}
}

// drain reads until every frame the kernel has counted is in hand, and only then
// writes the rest: the taps hand over their last blocks at different moments, and
// merged files keep the order of time to the end.
func (s *Session) drain(tick *time.Ticker) error {
	for deadline := time.Now().Add(drainDeadline); ; {
		if err := s.sweep(time.Now().UnixNano() - holdBack); err != nil {
			return err
		}
		open := 0
		for _, p := range s.points {
			for _, t := range p.taps {
				if err := t.ask(); err != nil {
					return fmt.Errorf("capture at %s: %w", p.Name(), err)
				}
				if t.read+t.queued() < t.seen {
					open++
				}
			}
		}
		if open == 0 {
			return s.write(math.MaxInt64)
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("capture: %d taps still hold frames after %v", open, drainDeadline), s.write(math.MaxInt64))
		}
		<-tick.C
	}
}

// queued is how many frames were taken from the ring and not written yet.
func (t *tapState) queued() (n uint64) {
	for i := range t.queue {
		n += uint64(t.queue[i].left)
	}
	return n
}

// ask adds up the kernel's counters, which asking resets.
func (t *tapState) ask() error {
	received, dropped, err := t.ring.statistics()
	t.seen += received - dropped // the kernel counts a dropped frame in both
	t.lost += dropped
	return err
}

// sweep writes everything that the rings hold; in merged files, what is older
// than quietUntil where a tap says nothing.
func (s *Session) sweep(quietUntil int64) error {
	for _, p := range s.points {
		for _, t := range p.taps {
			for b, ok := t.ring.take(); ok; b, ok = t.ring.take() {
				t.queue = append(t.queue, b)
			}
		}
	}
	return s.write(quietUntil)
}

// write writes what was taken from the rings.
func (s *Session) write(quietUntil int64) error {
	for _, p := range s.points {
		if err := p.write(quietUntil); err != nil {
			return fmt.Errorf("capture at %s: %w", p.Name(), err)
		}
		p.written.Store(p.packets)
	}
	return nil
}

// Packets are how many packets each point's file holds so far, in the order of the points
// given to [Start]. It may be asked from any goroutine until Stop is called; Stop's result
// has the last word.
func (s *Session) Packets() []uint64 {
	n := make([]uint64, len(s.points))
	for i, p := range s.points {
		n[i] = p.written.Load()
	}
	return n
}

// write merges the queued frames of a point's taps by time.
func (p *pointState) write(quietUntil int64) error {
	for {
		var first *tapState
		var at packet
		limit := int64(math.MaxInt64)
		for _, t := range p.taps {
			pkt, ok := t.peek()
			switch {
			case !ok && len(p.taps) > 1:
				limit = quietUntil
			case ok && (first == nil || pkt.time < at.time):
				first, at = t, pkt
			}
		}
		if first == nil || at.time > limit {
			return nil
		}
		if err := p.writeFrame(first, at); err != nil {
			return err
		}
		first.advance()
	}
}

func (p *pointState) writeFrame(t *tapState, pkt packet) error {
	t.count(pkt)
	f := Frame{Time: pkt.time, VLAN: t.VLAN, Outgoing: pkt.outgoing, Data: pkt.data}
	p.trailer = p.trailer[:0]
	if p.AppendTrailer != nil {
		p.trailer = p.AppendTrailer(p.trailer, f)
	}
	if p.Take != nil && !p.Take(f) {
		return nil
	}
	p.packets++
	if t.VLAN == 0 || len(pkt.data) < 12 {
		return p.writer.WritePacket(t.id, pkt.time, pkt.wire+len(p.trailer), pkt.data, p.trailer)
	}
	return p.writer.WritePacket(t.id, pkt.time, pkt.wire+len(t.tag)+len(p.trailer),
		pkt.data[:12], t.tag[:], pkt.data[12:], p.trailer)
}

// peek returns the tap's next frame and gives used-up blocks back.
func (t *tapState) peek() (packet, bool) {
	for len(t.queue) > 0 {
		if p, ok := t.queue[0].peek(); ok {
			return p, true
		}
		t.queue[0].release()
		t.queue = append(t.queue[:0], t.queue[1:]...)
	}
	return packet{}, false
}

func (t *tapState) advance() {
	t.queue[0].advance()
	t.read++
}

// count tells TCP segments by direction; ARP, neighbour discovery and multicast
// listener reports are not part of any balance.
func (t *tapState) count(p packet) {
	const ether, flagsAt = 14, 13
	b := p.data
	if len(t.Resolved) > 0 {
		t.countResolution(p)
	}
	if len(b) < ether+40 {
		return
	}
	var tcp []byte
	switch ip := b[ether:]; {
	case binary.BigEndian.Uint16(b[12:]) == unix.ETH_P_IP && ip[9] == unix.IPPROTO_TCP:
		tcp = ip[min(int(ip[0]&15)*4, len(ip)):]
	case binary.BigEndian.Uint16(b[12:]) == unix.ETH_P_IPV6 && ip[6] == unix.IPPROTO_TCP:
		tcp = ip[40:]
	case isICMPError(b[12:14], ip):
		if p.outgoing {
			t.counts.OutICMP++
		} else {
			t.counts.InICMP++
		}
	}
	if len(tcp) <= flagsAt {
		return
	}
	total, syns, rsts := &t.counts.In, &t.counts.InSYN, &t.counts.InRST
	if p.outgoing {
		total, syns, rsts = &t.counts.Out, &t.counts.OutSYN, &t.counts.OutRST
	}
	*total++
	switch flags := tcp[flagsAt]; {
	case flags&0x12 == 0x02:
		*syns++
	case flags&0x14 == 0x14:
		*rsts++
	}
}

// Stop ends the captures: what is in the rings is written, then each interface's
// statistics, and the files are closed.
func (s *Session) Stop() ([]Result, error) {
	close(s.stop)
	err := <-s.ended
	var results []Result
	end := time.Now()
	for _, p := range s.points {
		r := Result{Point: p.Point, Packets: p.packets}
		for _, t := range p.taps {
			r.Dropped += t.lost
			r.Counts = append(r.Counts, t.counts)
		}
		results = append(results, r)
		if err == nil {
			err = p.finish(end)
		}
	}
	return results, errors.Join(err, s.close())
}

// finish writes what a file ends with.
func (p *pointState) finish(end time.Time) error {
	for _, t := range p.taps {
		if err := p.writer.WriteStatistics(t.id, pcapng.Statistics{Start: t.start, End: end,
			Received: t.seen + t.lost, Dropped: t.lost}); err != nil {
			return fmt.Errorf("capture at %s: %w", p.Name(), err)
		}
	}
	if err := p.writer.Flush(); err != nil {
		return fmt.Errorf("capture at %s: %w", p.Name(), err)
	}
	return nil
}

func (s *Session) close() error {
	var errs []error
	for _, p := range s.points {
		for _, t := range p.taps {
			errs = append(errs, t.ring.close())
		}
		if p.out != nil {
			errs = append(errs, p.out.Close())
			p.out = nil
		}
	}
	return errors.Join(errs...)
}
