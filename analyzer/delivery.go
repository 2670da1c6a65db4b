package analyzer

// stretch is a range of sequence numbers that one side sent.
type stretch struct{ from, to uint32 }

func (s stretch) empty() bool { return int32(s.to-s.from) <= 0 }

// begins are the first sequence numbers of the request's and the reply's bytes;
// ok is false where the captures do not tell.
func (v *flowView) begins(toServer bool) (seq uint32, ok bool) {
	switch {
	case v.narrowed && toServer:
		return v.reqSeq, true
	case v.narrowed:
		return v.replySeq, v.replySeq != 0
	case toServer:
		return v.isn + 1, v.known
	}
	if at, g := v.origin(synAckKind(v)); at >= 0 {
		return g[0].seq + 1, true
	}
	// The SYN-ACK was not captured; what the client acknowledges first tells.
	for i := range v.steps {
		for j := range v.steps[i].packets {
			if g := &v.steps[i].packets[j]; g.toServer && g.is(flagACK, flagSYN|flagRST) {
				return g.ack, true
			}
		}
	}
	return 0, false
}

// sent is the range of bytes that any point saw in a direction.
func (v *flowView) sent(toServer bool) (s stretch, ok bool) {
	if s.from, ok = v.begins(toServer); !ok {
		return s, false
	}
	s.to = s.from
	for i := range v.steps {
		for j := range v.steps[i].request {
			g := &v.steps[i].request[j]
			if g.icmp || g.toServer != toServer || g.flags&(flagRST|flagSYN) != 0 || g.length == 0 {
				continue
			}
			if end := g.seq + uint32(g.length); int32(end-s.to) > 0 {
				s.to = end
			}
		}
	}
	return s, true
}

// acknowledged is the highest byte that the receiver of a direction has
// acknowledged, as any point saw it: what lies before was delivered to its host.
func (v *flowView) acknowledged(toServer bool, from uint32) uint32 {
	for i := range v.steps {
		for j := range v.steps[i].request {
			g := &v.steps[i].request[j]
			if g.toServer != toServer && g.is(flagACK, flagRST) && int32(g.ack-from) > 0 {
				from = g.ack
			}
		}
	}
	return from
}

// undelivered returns the first byte of a direction that was sent and that its
// receiver never acknowledged.
func (v *flowView) undelivered(toServer bool) (seq uint32, ok bool) {
	s, ok := v.sent(toServer)
	if !ok || s.empty() {
		return 0, false
	}
	s.from = v.acknowledged(toServer, s.from)
	return s.from, !s.empty()
}

// delivered tells whether all bytes of a direction were acknowledged, and there
// were some.
func (v *flowView) delivered(toServer bool) bool {
	s, ok := v.sent(toServer)
	return ok && !s.empty() && int32(v.acknowledged(toServer, s.from)-s.to) >= 0
}

// contiguous returns the number behind the last byte of a direction up to which
// the captures at some steps, taken together, have all of them.
func contiguous(steps []step, toServer bool, seq uint32) uint32 {
	for again := true; again; {
		again = false
		for i := range steps {
			for j := range steps[i].request {
				if g := &steps[i].request[j]; !g.icmp && g.toServer == toServer && g.flags&(flagRST|flagSYN) == 0 && g.covers(seq) {
					seq, again = g.seq+uint32(g.length), true
				}
			}
		}
	}
	return seq
}

// reply is what is known of a response: where its bytes begin, up to where the
// captures have all of them, and where its own head says that it ends.
type reply struct {
	begins, have, ends uint32
	known              bool // ends is known
}

// reply looks at the response from all points.
func (v *flowView) reply() (r reply, ok bool) {
	if r.begins, ok = v.begins(false); !ok {
		return r, false
	}
	r.have = contiguous(v.steps, false, r.begins)
	for i := range v.steps {
		for j := range v.steps[i].request {
			if g := &v.steps[i].request[j]; !g.toServer && g.seq == r.begins && g.expects > 0 {
				r.ends, r.known = g.seq+g.expects, true
			}
		}
	}
	return r, true
}

// whole tells whether all of the response was captured.
func (r reply) whole() bool { return r.known && int32(r.have-r.ends) >= 0 }

// arrived tells whether nothing that was sent in a direction is known to have been
// lost: all was acknowledged, or seen at the end of its path.
func (v *flowView) arrived(toServer bool) bool {
	seq, open := v.undelivered(toServer)
	if !open {
		return true
	}
	at, _ := v.furthest(byteKind(v, toServer, seq))
	return toServer && at == len(v.steps)-1 || !toServer && at == 0
}

// idleBefore is how long the connection had been silent in both directions
// before a packet, as its own point saw it.
func (v *flowView) idleBefore(step int, g *sighting) int64 {
	last := int64(0)
	for i := range v.steps[step].packets {
		if h := &v.steps[step].packets[i]; h.frame < g.frame && !h.icmp {
			last = max(last, h.time)
		}
	}
	if last == 0 {
		return 0
	}
	return g.time - last
}
