package bigip

import (
	"encoding/binary"
	"time"
)

// ownRST is a RST that the virtual server makes itself.
type ownRST struct {
	Reset    // as the ledger has it
	to       hardware
	flags    byte
	seq, ack uint32
}

// refuse answers a client's SYN with a RST: unlike a full proxy, which has accepted the
// client by the time it asks for a member (K9812).
func (v *fastL4) refuse(s *datagram, e Event) {
	r := rstFor(clientside, s, endings[e].cause)
	r.Time = v.table.reset(clientside, r.Client, nil, r.Cause, r.Peer)
	v.table.closed(r.Client, nil)
	v.resets = append(v.resets, r.Reset)
	v.sendRST(r)
}

// maxRejectRate is how many packets without a flow are answered in a second: db variable
// TM.MaxRejectRate, as shipped (K9812).
const maxRejectRate = 250

// unmatched answers a packet that belongs to no flow (TM.RejectUnmatched), unless it is
// a RST itself (RFC 9293 §3.10.7.1).
func (v *fastL4) unmatched(on side, s *datagram) {
	if s.flags&flagRST != 0 || !v.rejected.take(v.loop.Now()) {
		return
	}
	cause := NoFlowForACK
	if s.flags&flagACK == 0 {
		cause = NoLocalListener
	}
	v.reject(on, s, cause)
}

// reject answers a packet with a RST that is no flow's.
func (v *fastL4) reject(on side, s *datagram, cause Cause) {
	r := rstFor(on, s, cause)
	r.Time = v.table.reject(tuple{remote: s.src, local: s.dst}, cause)
	v.resets = append(v.resets, r.Reset)
	v.sendRST(r)
}

// rstFor is the RST for a segment to a connection that there is not (RFC 9293 §3.10.7.1).
func rstFor(on side, s *datagram, cause Cause) *ownRST {
	r := &ownRST{to: s.sender(), flags: flagRST, seq: s.ack,
		Reset: Reset{From: s.dst, To: s.src, Serverside: on == serverside, Ordinal: -1, Cause: cause}}
	if s.flags&flagACK == 0 {
		r.flags, r.seq, r.ack = flagRST|flagACK, 0, s.end()
	}
	if on == clientside {
		r.Client = s.src
	}
	return r
}

// allowance is what is left of a second's RSTs.
type allowance struct {
	second int64
	used   int
}

func (a *allowance) take(now time.Time) bool {
	if s := now.Unix(); s != a.second {
		*a = allowance{second: s}
	}
	a.used++
	return a.used <= maxRejectRate
}

// reset ends a connection as the event demands. Causes are on record before the packets
// can be; what comes after them belongs to no flow.
func (c *connflow) reset(e Event) {
	v, how := c.v, &endings[e]
	var rsts []*ownRST
	if how.server == rst {
		rsts = append(rsts, c.rst(serverside, how))
	}
	if how.client == rst {
		c.Reset, c.Peer = how.cause.Text, how.peer(clientside)
		rsts = append(rsts, c.rst(clientside, how))
	}
	for _, r := range rsts {
		on := clientside
		if r.Serverside {
			on = serverside
		}
		r.Time = v.table.reset(on, c.Client, c.Flow, r.Cause, r.Peer)
		v.resets = append(v.resets, r.Reset)
	}
	c.close()
	c.forgotten()
	for _, r := range rsts {
		v.sendRST(r)
	}
}

// rst is the RST for one end of a connection, in the other one's name.
func (c *connflow) rst(on side, how *ending) *ownRST {
	r := &ownRST{to: c.lastHop, Reset: Reset{From: c.v.config.VirtualServer.Destination, To: c.Client,
		Client: c.Client, Flow: c.Flow, Ordinal: -1, Cause: how.cause, Peer: how.peer(on)}}
	to, other := &c.client, &c.server
	if on == serverside {
		r.to, r.From, r.To, r.Serverside = c.nextHop, c.SNAT, c.Member, true
		to, other = other, to
	}
	// It has to have the very number that the end waits for (RFC 5961 §3.2): what it
	// has acknowledged last, for nobody knows how much of the rest has arrived.
	if r.seq = other.next; to.heard {
		r.seq = to.acked
	}
	if r.flags = flagRST; to.seen {
		r.flags, r.ack = flagRST|flagACK, to.next
	}
	return r
}

// sendRST sends what is on record.
func (v *fastL4) sendRST(r *ownRST) {
	payload := ""
	if v.config.RSTCause.Packet {
		payload = r.Cause.payload(r.Peer)
	}
	out := v.external
	if r.Serverside {
		out = v.internal
	}
	frame := append(append(make([]byte, 0, etherSize), r.to[:]...), out.mac[:]...)
	frame = binary.BigEndian.AppendUint16(frame, familyOf(r.To.Addr()))
	out.send(append(frame, rstPacket(r.From, r.To, r.flags, r.seq, r.ack, payload)...))
	v.crafted++
}
