package verify

import (
	"fmt"

	"github.com/hopblame/hopblame/analyzer"
)

// resets are the cited RSTs to the client, and ICMP errors about its connection.
func (t *trial) resets() []*exhibit {
	return t.frames("", func(x *Frame) bool {
		_, _, quotes := x.quote()
		return t.fromServer(x) && isRST(x) || quotes && t.ofClient(x)
	})
}

// outcome: the frame that ends the request is among the evidence.
//
//	reset      a RST to the client that does not answer a SYN
//	refused    a RST to the client that does, or an ICMP error
//	truncated  a FIN of the server
//	error      a 5xx
//	tls-error  a TLS alert
//	timeout    nothing, or the client gives up before a RST reaches it
//	unknown    nothing: it is inside TLS
//
// Inside TLS a stream may be reset, or a 5xx be said, while the connection goes on:
// what can be checked of that is a frame of the server's that says something there.
func (t *trial) outcome() string {
	resets := t.resets()
	cited := func(is func(*Frame) bool) bool { return len(t.frames("", is)) > 0 }
	switch t.v.Outcome {
	case analyzer.Reset, analyzer.Refused:
		if len(resets) == 0 && t.v.Outcome == analyzer.Reset && t.saidInTLS() {
			break
		}
		if len(resets) == 0 {
			return "no RST to the client is cited"
		}
		refused := false
		for _, x := range resets {
			refused = refused || !isRST(x.frame) || t.answersSYN(x.frame)
		}
		if refused != (t.v.Outcome == analyzer.Refused) {
			return "the RST answers a SYN in one case and an open connection in the other"
		}
	case analyzer.Truncated:
		if !cited(func(x *Frame) bool { return t.fromServer(x) && x.has(flagFIN, flagRST) }) {
			return "no FIN of the server is cited"
		}
	case analyzer.Error:
		if !cited(is5xx) && !t.saidInTLS() {
			return "no 5xx is cited"
		}
	case analyzer.TLSError:
		if !cited(isAlert) && !cited(mayBeAlert) {
			return "no TLS alert is cited"
		}
	case analyzer.Unknown:
		switch {
		case len(resets) > 0:
			return fmt.Sprintf("frame %d of %s resets the connection", resets[0].Frame, resets[0].File)
		case !t.inTLS():
			return "nothing is cited that the client says inside TLS"
		}
	case analyzer.Timeout:
		for _, r := range resets {
			before := t.frames(r.Point, func(x *Frame) bool { return t.gaveUp(x) && x.Number < r.Frame })
			if isRST(r.frame) && len(before) == 0 {
				return fmt.Sprintf("frame %d of %s resets the connection", r.Frame, r.File)
			}
		}
		closed := t.frames(t.v.Request.StartPoint, func(x *Frame) bool { return t.fromServer(x) && x.has(flagFIN, 0) })
		if len(closed) > 0 && len(t.frames(t.v.Request.StartPoint, func(x *Frame) bool { return t.gaveUp(x) && x.Number < closed[0].Frame })) == 0 {
			return fmt.Sprintf("frame %d of %s closes the connection, and the client had not", closed[0].Frame, closed[0].File)
		}
		if cited(func(x *Frame) bool { return t.fromServer(x) && is5xx(x) }) {
			return "an answer of the server is cited"
		}
	default:
		return fmt.Sprintf("outcome %s is not one of a failed request", clip(string(t.v.Outcome)))
	}
	return ""
}

// inTLS tells whether the client's connection may be in TLS: data of it are cited, and
// none of them in the clear.
func (t *trial) inTLS() bool {
	clear := t.frames("", func(x *Frame) bool {
		_, _, _, _, request := x.request()
		code, _ := x.response()
		return t.ofClient(x) && (request || code != 0)
	})
	return len(clear) == 0 && len(t.frames("", func(x *Frame) bool { return t.fromClient(x) && isData(x) })) > 0
}

// saidInTLS tells whether a frame is cited in which the server says something there.
func (t *trial) saidInTLS() bool {
	return t.inTLS() && len(t.frames("", func(x *Frame) bool { return t.fromServer(x) && isData(x) })) > 0
}

// gaveUp tells whether the client ends its connection.
func (t *trial) gaveUp(x *Frame) bool {
	return t.fromClient(x) && x.has(0, 0) && x.tcp[0].flags&(flagFIN|flagRST) != 0
}

// answersSYN tells a RST to a SYN from one on an open connection: it has no sequence
// number of the server's own (RFC 9293 section 3.10.7.1: SEQ is 0 where the SYN
// has no ACK).
func (t *trial) answersSYN(x *Frame) bool {
	h := &x.tcp[0]
	return h.seq == 0 && h.flags&flagACK != 0
}

// rst: who sent it, why and on which side, as the trailer of a cited RST tells; where
// none tells, nothing but an ICMP error can.
func (t *trial) rst() string {
	v := t.v
	resets := t.resets()
	if v.RST == nil {
		if v.Outcome == analyzer.Reset && len(resets) == 0 && t.saidInTLS() {
			return "" // a stream was
		}
		if v.Outcome == analyzer.Reset || v.Outcome == analyzer.Refused {
			return fmt.Sprintf("none, with outcome %s", v.Outcome)
		}
		return ""
	}
	if len(resets) == 0 {
		return "no RST to the client is cited"
	}
	why := ""
	for _, x := range resets {
		if !isRST(x.frame) || !x.frame.hasCause() || x.frame.trailer.Low.Ingress {
			continue
		}
		r := &x.frame.trailer.Medium.RSTCause
		hop := t.c.points[x.Point].hop
		if r.Text == v.RST.Cause && r.Peer == v.RST.Peer && hop == v.RST.By {
			return ""
		}
		why = fmt.Sprintf("the trailer of frame %d of %s says by %s, cause %s, peer %v", x.Frame, x.File, hop, clip(r.Text), r.Peer)
	}
	if why != "" {
		return why
	}
	return t.rstWithoutTrailer(resets)
}

func (t *trial) rstWithoutTrailer(resets []*exhibit) string {
	v := t.v
	if v.RST.Peer {
		return "peer, and no cited RST has a trailer that says so"
	}
	if v.RST.Cause != "" {
		told := false
		for _, x := range resets {
			if i := x.frame.icmp; i != nil {
				told = told || v.RST.Cause == fmt.Sprintf("ICMP type %d code %d from %s", i.typ, i.code, x.frame.ip[0].src)
			}
		}
		if !told {
			return fmt.Sprintf("cause %s, and no cited RST has a trailer that says so", clip(v.RST.Cause))
		}
	}
	nearest := resets[0] // to the server's end
	for _, x := range resets {
		if t.c.points[x.Point].index > t.c.points[nearest.Point].index {
			nearest = x
		}
	}
	if hop := t.c.points[nearest.Point].hop; v.RST.By != "" && v.RST.By != hop {
		return fmt.Sprintf("by %s, and the RST was first seen at %s", clip(v.RST.By), hop)
	}
	return ""
}
