package verify

import "fmt"

// cannot tells whether an ICMP error says that its sender has no way to the destination, and
// not that the packet is forbidden: RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3.
func (i *icmpHeader) cannot() bool {
	type what struct {
		v6        bool
		typ, code uint8
	}
	switch (what{i.v6, i.typ, i.code}) {
	case what{false, 3, 0}, what{false, 3, 1}, what{false, 3, 6}, what{false, 3, 7}, what{false, 3, 11}, what{false, 3, 12},
		what{true, 1, 0}, what{true, 1, 2}, what{true, 1, 3}:
		return true
	}
	return i.typ == 11 && !i.v6 || i.typ == 3 && i.v6 // time exceeded
}

// saysICMP finds the ICMP errors that are cited, of those that forbid or of those that
// cannot forward.
func (t *trial) saysICMP(cannot bool) []*exhibit {
	return t.frames("", func(x *Frame) bool { return x.icmp != nil && x.icmp.cannot() == cannot })
}

// refusedBy: a hop on the way refuses a packet, or a host what came to itself.
func (t *trial) refusedBy() string {
	switch {
	case len(t.saysICMP(true)) > 0:
		return "the ICMP error that is cited says that there is no way to the destination"
	case len(t.v.Between) == 1:
		return t.filtered()
	}
	return t.rejected()
}

// unroutable: a hop says by ICMP that it cannot forward a packet, and the packet gets no
// further; or its trailer says so.
func (t *trial) unroutable() string {
	if len(t.saysICMP(true)) > 0 {
		return t.rejected()
	}
	return t.told()
}

// filtered: a host answers a SYN that came to it with an ICMP error of its own.
func (t *trial) filtered() string {
	at := t.v.Between[0]
	for _, syn := range t.frames(at, isSYN) {
		for _, x := range t.frames(at, func(x *Frame) bool { return x.icmp != nil && x.refuses(syn.frame) }) {
			if x.frame.ip[0].src == syn.frame.ip[0].dst {
				return ""
			}
		}
	}
	return fmt.Sprintf("no ICMP error of its destination in answer to a SYN is cited at %s", at)
}
