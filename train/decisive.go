package train

import (
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// shape says what kind of packet a frame is, as its evidence's filter has it; a set of bits.
type shape uint8

const (
	syn shape = 1 << iota
	synAck
	reset
	fin
	data
	bare    // an ACK and nothing else
	message // an ICMP error
	lookup  // a question for a hardware address, or its answer
)

// shapeOf reads it from a filter.
func shapeOf(filter string) shape {
	has := func(term string) bool { return strings.Contains(filter, term) }
	switch {
	case strings.HasPrefix(filter, "arp."), strings.HasPrefix(filter, "icmpv6.nd."):
		return lookup
	case strings.HasPrefix(filter, "icmp.type=="), strings.HasPrefix(filter, "icmpv6.type=="):
		if !has("tcp.") {
			return lookup
		}
		return message
	case has("tcp.flags.reset==1"):
		return reset
	case has("tcp.flags.syn==1") && has("tcp.flags.ack==1"):
		return synAck
	case has("tcp.flags.syn==1"):
		return syn
	case has("tcp.flags.fin==1"):
		return fin
	case has("tcp.len==0"):
		return bare
	}
	return data
}

// which of several frames of one shape decides.
type which uint8

const (
	first  which = iota // of those at the point where the packet was seen last, or the only one
	last                // of the same: the first ones are what it answers or repeats
	beyond              // the first where it came out, which is not as it went in
)

// deciding says which frame decides about each cause, among those that prove it.
var deciding = map[analyzer.Cause]struct {
	of shape
	at which
}{
	analyzer.SYNDropped:          {of: syn},
	analyzer.NeighbourUnresolved: {of: lookup, at: last}, // an answer decides more than the question
	analyzer.SYNAckDropped:       {of: synAck},
	analyzer.AsymmetricPath:      {of: synAck},
	analyzer.AckDropped:          {of: bare},
	analyzer.DataDropped:         {of: data | fin},
	analyzer.ResponseDropped:     {of: data | fin},
	analyzer.MTUBlackhole:        {of: data},
	analyzer.Corrupted:           {of: syn | synAck | data | bare | fin, at: beyond}, // with a wrong checksum
	analyzer.Rewritten:           {of: syn | synAck | data | bare | message, at: beyond},
	analyzer.Delayed:             {of: syn | synAck | data | bare, at: beyond},
	analyzer.ResetInjected:       {of: reset},
	analyzer.Rejected:            {of: reset | message},
	analyzer.SessionExpired:      {of: data | bare | reset},
	analyzer.TupleReused:         {of: bare | syn, at: last},
	analyzer.PortClosed:          {of: reset},
	analyzer.ListenQueueFull:     {of: synAck | syn, at: last},
	analyzer.NoAnswer:            {of: syn | data, at: last},
	analyzer.AppSilent:           {of: data},
	analyzer.AppReset:            {of: reset},
	analyzer.AppTruncated:        {of: fin | reset},
	analyzer.AppError:            {of: data, at: last},
	analyzer.NoPoolMember:        {of: reset},
	analyzer.SNATExhausted:       {of: reset},
	analyzer.ConnectionLimit:     {of: reset},
	analyzer.IdleTimeout:         {of: reset | fin},
	analyzer.ProtocolViolation:   {of: reset},
	analyzer.TLSFailure:          {of: data | reset}, // an alert, or a RST
	analyzer.NoListener:          {of: reset},
	analyzer.NoRoute:             {of: reset | message},
	analyzer.ZeroWindow:          {of: bare, at: last},
	analyzer.ClientAbort:         {of: fin | reset},
}

// decisive is the frame that a verdict stands on: of those that prove it, the one that its
// cause speaks of; nil if none proves it.
func decisive(v *analyzer.Verdict) (out *analyzer.Evidence) {
	best, at := 0, deciding[v.Cause].at
	for i := range v.Evidence {
		e := &v.Evidence[i]
		if n := weight(v, e); n > best || n == best && n == 3 && at == last {
			out, best = e, n
		}
	}
	return out
}

// weight says how much a frame decides, from 0, nothing.
func weight(v *analyzer.Verdict, e *analyzer.Evidence) int {
	if e.Kind != analyzer.KindFrame || roleIn(v, e) != proof {
		return 0
	}
	by, point := deciding[v.Cause], e.Point
	if n := len(v.Between); n > 0 {
		point = v.Between[0]
		if by.at == beyond {
			point = v.Between[n-1]
		}
	}
	switch {
	case introduces(e):
		return 1
	case shapeOf(e.Filter)&by.of == 0 || e.Point != point:
		return 2
	}
	return 3
}

// introduces tells whether a frame is cited to say which request it is about.
func introduces(e *analyzer.Evidence) bool {
	return e.What == "the client's SYN" || e.What == "the request" || strings.HasPrefix(e.What, "the trailer names ")
}
