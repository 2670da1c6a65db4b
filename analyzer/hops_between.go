package analyzer

// hopCount is by how much the TTL of a handshake's packet is less at the second of two
// points, by the good connections that both saw.
type hopCount struct {
	least, most int
	known       bool // there was such a connection
}

// hopsAsked are two points and a direction.
type hopsAsked struct {
	p, q     int
	toServer bool
}

// hopsBetween counts the routers from point p to point q, which SYNs pass to the server and
// SYN-ACKs to the client. Every verdict on a lost packet may ask, always the same.
func (c *calibration) hopsBetween(p, q int, toServer bool) hopCount {
	of := hopsAsked{p, q, toServer}
	n, asked := c.hops[of]
	if asked {
		return n
	}
	shared(c.surveys[p], c.surveys[q], func(x, y *handshake) {
		a, b := x.ttl.syn, y.ttl.syn
		if !toServer {
			a, b = x.ttl.synAck, y.ttl.synAck
		}
		if !x.completed || a == 0 || b == 0 {
			return
		}
		d := int(a) - int(b)
		if !n.known {
			n = hopCount{d, d, true}
		}
		n.least, n.most = min(n.least, d), max(n.most, d)
	})
	c.hops[of] = n
	return n
}
