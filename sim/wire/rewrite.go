package wire

import (
	"encoding/binary"

	"github.com/google/gopacket/layers"
	"github.com/hopblame/hopblame/internal/inetsum"
)

// Rewrite changes a field of each packet and makes its checksums anew, as boxes do that
// mean well: clamp the MSS, hide sequence numbers or a host's uptime, or set the TTL for a
// next hop. What was damaged already stays so.
type Rewrite struct {
	TTL uint8  // or hop limit; 0 is as it was
	MSS uint16 // of the option, where there is one (RFC 9293 §3.7.1); 0 is as it was
	Seq uint32 // is added to the sequence number
	// TSval is taken off the time stamp, where there is one (RFC 7323 §3.2).
	TSval uint32
}

func (r Rewrite) take(w *Wire, p Packet) {
	w.sendAltered(p, r.rewrite)
}

func (r Rewrite) rewrite(s segment) {
	if r.TTL != 0 {
		s.setTTL(r.TTL)
	}
	damaged := s.damaged()
	for _, o := range s.tcp.Options {
		if r.MSS != 0 && o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2 {
			binary.BigEndian.PutUint16(o.OptionData, r.MSS)
		}
		if o.OptionType == layers.TCPOptionKindTimestamps && len(o.OptionData) == 8 {
			binary.BigEndian.PutUint32(o.OptionData, binary.BigEndian.Uint32(o.OptionData)-r.TSval)
		}
	}
	seq := s.tcp.Contents[4:8]
	binary.BigEndian.PutUint32(seq, binary.BigEndian.Uint32(seq)+r.Seq)
	if !damaged {
		s.tcp.Contents[16], s.tcp.Contents[17] = 0, 0
		binary.BigEndian.PutUint16(s.tcp.Contents[16:], ^inetsum.Fold(s.sum()))
	}
}

// setTTL sets TTL or hop limit; the header of IPv6 has no checksum.
func (s segment) setTTL(ttl uint8) {
	head := s.network.LayerContents()
	if head[0]>>4 == 6 {
		head[7] = ttl
		return
	}
	head[8], head[10], head[11] = ttl, 0, 0
	binary.BigEndian.PutUint16(head[10:], ^inetsum.Fold(inetsum.Add(0, head)))
}
