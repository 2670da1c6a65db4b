package analyzer

import (
	"context"
	"fmt"
	"math/bits"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hopblame/hopblame/internal/pcapng"
)

// Conn is the addresses of a TCP connection, the end that opened it first.
type Conn struct{ Client, Server netip.AddrPort }

// String writes it as people do: client → server.
func (c Conn) String() string { return c.Client.String() + " → " + c.Server.String() }

// Packet is a TCP segment, or an ICMP error about one, as one point captured it. It
// is valid until the function that is given it returns.
type Packet struct {
	File   string // as in [PointReport]
	Frame  uint64 // Wireshark's number in it
	Time   time.Time
	Src    netip.AddrPort // of an ICMP error: of the segment that it quotes
	Dst    netip.AddrPort
	Seq    uint32
	Ack    uint32
	Flags  byte // of RFC 9293 §3.1, [FlagFIN] and the others, and URG
	Window uint16
	Len    int    // payload on the wire, in bytes
	Cut    bool   // not all of it was captured
	Body   []byte // what was captured of the payload

	ICMP     bool // an error: Seq is the quoted segment's, Ack, Flags and Len are 0
	ICMPFrom netip.Addr
	ICMPType byte
	ICMPCode byte

	from  *packet
	frame []byte
	wire  int
}

// Flags of a [Packet].
const (
	FlagFIN = flagFIN
	FlagSYN = flagSYN
	FlagRST = flagRST
	FlagPSH = flagPSH
	FlagACK = flagACK
)

// Damaged tells whether the checksum is wrong; false where that cannot be known.
func (p *Packet) Damaged() bool { return p.from.damaged() }

// Print is a hash of what tells a packet from its retransmissions, and is the same
// wherever nothing but addresses and numbers was changed on the way: IP id, window, and
// the time stamps of a SYN or RST (RFC 7323).
func (p *Packet) Print() uint64 {
	const k = 0x9e3779b97f4a7c15 // as in packet.print
	h := uint64(k)
	for _, v := range [2]uint64{uint64(p.from.ipid)<<16 | uint64(p.from.window), uint64(p.from.tsval)<<32 | uint64(p.from.tsecr)} {
		hi, lo := bits.Mul64(h^v, k)
		h = hi ^ lo
	}
	return h
}

// PacketNote is what the F5 trailer of a frame tells of its connection.
type PacketNote struct {
	// Peer is the connection on the proxy's other side, read as a clientside
	// frame's; zero if none is named.
	Peer     Conn
	RSTCause string // "" if the trailer has none
	RSTPeer  bool   // the cause lies on the other side
}

// Note reads the frame's F5 trailer; zero without a sound one.
func (p *Packet) Note() (out PacketNote) {
	var n trailerNote
	if !decodeTrailer(p.frame, p.wire, &n) {
		return out
	}
	if n.hasPeer {
		t := n.serverside()
		out.Peer = Conn{t.client, t.server}
	}
	out.RSTCause, out.RSTPeer = n.cause, n.causePeer
	return out
}

// Packets reads the captures of a report's points once, from their beginning, and
// gives every TCP segment to each, with the index of its point in the report. It calls
// each for several points at a time, never twice at once for one; the packets of a point
// come in file order. A point's frames that have no time are left out. Errors are of type
// *[InputError], or the context's.
func Packets(ctx context.Context, points []Point, r *Report, each func(point int, p *Packet)) error {
	if err := checkPoints(points); err != nil {
		return &InputError{Kind: ErrMalformed, File: "points", What: err.Error()}
	}
	a := &analysis{points: slices.Clone(mergePoints(points))}
	spool := &Spool{}
	defer spool.Close()
	if err := a.prepare(ctx, spool); err != nil {
		return err
	}
	found := make([]int, len(r.Points)) // index into a.points
	for i := range r.Points {
		if found[i] = a.pointOf(&r.Points[i]); found[i] < 0 {
			return &InputError{Kind: ErrMalformed, File: r.Points[i].File, What: fmt.Sprintf("the report has it for point %s, and it is not among the captures", r.Points[i].Name),
				Fix: "give the captures that were analysed"}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, at := range found {
		g.Go(func() error { return a.packets(ctx, at, func(p *Packet) { each(i, p) }) })
	}
	return g.Wait()
}

// pointOf finds a point of a report; -1 if it is not there. Points that nobody named
// had none then.
func (a *analysis) pointOf(r *PointReport) int {
	if i := slices.IndexFunc(a.points, func(p Point) bool { return p.Name != "" && p.Name == r.Name }); i >= 0 {
		return i
	}
	for i := range a.points {
		if s := &a.sources[i][0]; a.points[i].Name == "" && s.File == r.File && s.Interface == r.Interface {
			return i
		}
	}
	return -1
}

// packets streams the files of one point.
func (a *analysis) packets(ctx context.Context, i int, each func(*Packet)) error {
	var pk packet
	var out Packet
	for k := range a.sources[i] {
		s := &a.sources[i][k]
		out.File = s.File
		err := a.stream(ctx, s, &counter{}, func(link uint16, f pcapng.Packet) {
			if pk.frame, pk.time = f.Number, f.Time; isTime(f.Time) && decode(link, f.Data, &pk) {
				pk.show(&out)
				out.from, out.frame, out.wire = &pk, f.Data, f.WireLength
				each(&out)
			}
		})
		if err != nil {
			return ofPoint(err, &a.points[i])
		}
	}
	return nil
}

// show fills in what others may see of a packet.
func (p *packet) show(out *Packet) {
	src, _ := netip.AddrFromSlice(p.src)
	dst, _ := netip.AddrFromSlice(p.dst)
	*out = Packet{File: out.File, Frame: p.frame, Time: stamp(p.time), Src: netip.AddrPortFrom(src, p.sport), Dst: netip.AddrPortFrom(dst, p.dport),
		Seq: p.seq, Ack: p.ack, Flags: p.flags, Window: p.window, Len: p.length, Cut: p.cut, Body: p.payload}
	if p.icmp {
		out.ICMP, out.ICMPType, out.ICMPCode = true, byte(p.icmpWhat>>8), byte(p.icmpWhat)
		out.ICMPFrom, _ = netip.AddrFromSlice(p.icmpFrom)
	}
}
