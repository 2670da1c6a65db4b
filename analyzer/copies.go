package analyzer

import (
	"encoding/binary"
	"math/bits"
	"time"
)

// copies recognises frames that one point captured twice: a SPAN port that
// mirrors both directions, a capture of "any" on a machine that forwards, a bridge
// and its ports. A copy has the same bytes above the link layer, but for TTL and
// check sums, less than a millisecond apart.
//
// Looking every packet up would cost a tenth of the first pass, for something that
// most captures never show and the others show in every packet. So the first few
// thousand packets are looked at, and after them only SYNs, which every connection
// has and which matter most; once one of them was a copy, FIN, RST and ICMP errors
// too, and once there were some, all packets.
//
// A genuine repeat is never taken for a copy. Retransmissions have another IP ID;
// those that have none (IPv6, or zero) are hundreds of milliseconds apart, unless
// they are fast retransmissions or duplicate ACKs, which is why such packets are
// let go until packets of the sure kinds have shown that the point copies.
type copies struct {
	all    bool // every packet is looked at
	sure   int  // copies of the sure kinds so far
	looked int  // packets seen so far, up to copyStart
	routed bool // the last copy had another TTL: it was captured behind a router
	recent *[copySets][copyWays]copySlot
}

type copySlot struct {
	print uint64
	time  int64
	ttl   byte
}

const (
	copyApart = int64(time.Millisecond)
	copySets  = 1 << 10 // together more slots than one point carries packets in copyApart at 40 Gbit/s of full frames
	copyWays  = 4       // packets of one set that do not displace each other
	copyStart = 4096    // so many packets are looked at in any case
	copyProof = 8       // so many copies make a point one that copies
)

// are tells whether the packet is a copy of one that was just seen. It must be
// asked about every packet of the point, in file order.
func (c *copies) are(p *packet) bool {
	odd := p.icmp || p.flags&(flagSYN|flagFIN|flagRST) != 0
	if !c.all {
		if c.looked < copyStart {
			c.looked++
		} else if p.flags&flagSYN == 0 && (c.sure == 0 || !odd) {
			return false
		}
	}
	if c.recent == nil {
		c.recent = new([copySets][copyWays]copySlot)
	}
	print := p.print()
	set := &c.recent[print%copySets]
	slot := &set[0]
	for i := range set {
		if set[i].print == print {
			slot = &set[i]
			break
		}
		if set[i].time < slot.time {
			slot = &set[i] // the oldest goes
		}
	}
	if slot.print != print || abs(p.time-slot.time) >= copyApart {
		*slot = copySlot{print, p.time, p.ttl}
		return false
	}
	c.routed = slot.ttl != p.ttl
	sure := odd || p.ipid != 0
	if sure {
		if c.sure++; c.sure == copyProof {
			c.all = true
		}
	}
	return sure || c.all
}

// print is a hash of what a packet's copies have in common.
func (p *packet) print() uint64 {
	const k = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	h := uint64(k)
	mix := func(v uint64) {
		hi, lo := bits.Mul64(h^v, k)
		h = hi ^ lo
	}
	le := binary.LittleEndian
	if len(p.src) == 4 {
		mix(uint64(le.Uint32(p.src))<<32 | uint64(le.Uint32(p.dst)))
	} else {
		mix(le.Uint64(p.src))
		mix(le.Uint64(p.src[8:]))
		mix(le.Uint64(p.dst))
		mix(le.Uint64(p.dst[8:]))
	}
	mix(uint64(p.seq)<<32 | uint64(p.ack))
	mix(uint64(p.sport)<<48 | uint64(p.dport)<<32 | uint64(p.ipid)<<16 | uint64(p.window))
	mix(uint64(p.length)<<8 | uint64(p.flags))
	mix(uint64(p.tsval)<<32 | uint64(p.tsecr))
	if p.icmp {
		mix(uint64(p.icmpWhat) + 1)
	}
	return h
}

func abs(n int64) int64 { return max(n, -n) }
