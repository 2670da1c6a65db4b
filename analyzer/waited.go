package analyzer

import (
	"slices"
	"strings"
)

// waits are the proxy's words for the end of a wait: they tell that it has given up, and
// not why nothing came. Of a connection that it no longer has, it says that.
var waits = []string{"Flow expired (sweeper)", "handshake timeout", "SSL handshake timeout", "No flow found for ACK"}

// waitedInVain concludes that what the proxy waited for, a request or the acknowledgment
// of a response, is provably lost between it and the client, or not as it was when it gets
// there; nil if it is not.
//
//	client                f5
//	 |--POST---->  ✗        |
//	 |--POST---->  ✗        |
//	 |<-----RST: Flow expired (sweeper)
func (v *flowView) waitedInVain(m *matter, said string) *conclusion {
	if !slices.ContainsFunc(waits, func(w string) bool { return strings.HasPrefix(said, w) }) {
		return nil
	}
	for _, r := range []rule{corrupted, rewritten, dataDropped, responseDropped} {
		if c := r.apply(v, m); c != nil && c.hop != "" {
			return c
		}
	}
	return nil
}

// resets are the RSTs and ICMP errors to the client that can have ended its connection.
// Not among them is what a host without the connection answers to the FIN of a client that
// has given up by then (see noSuch).
func (v *flowView) resets() kind {
	k := rstKind(v, false)
	late := map[*sighting]bool{}
	for i := range v.steps {
		var given *sighting
		for j := range v.steps[i].packets {
			switch g := &v.steps[i].packets[j]; {
			case g.toServer && g.is(flagFIN|flagACK, flagRST) && g.length == 0:
				given = g
			case given != nil && k.is(g) && g.noSuch() && g.seq == given.ack:
				late[g] = true
			}
		}
	}
	is := k.is
	k.is = func(g *sighting) bool { return is(g) && !late[g] }
	return k
}
