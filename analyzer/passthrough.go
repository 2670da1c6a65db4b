package analyzer

import "slices"

// passThrough pairs connections that never came about with what a proxy made of them
// that does not end connections: it chooses a server for the client's SYN and passes
// packets on under other addresses (FastL4 of a BIG-IP, and other ways to balance load
// by NAT). The serverside connection has the client's own initial sequence number
// then, and its fate is the client's. (With one server only it is a [translation] where
// no capture is the proxy's own, and the client's connection is followed right through.)
//
//	client           f5           server2
//	 |--SYN 77------->|--SYN 77----->|
//	 |<--------RST----|<-------RST---|
func (a *analysis) passThrough(ms []*matter, cs []*candidate) {
	byISN := map[uint32][]*candidate{}
	for _, c := range cs {
		byISN[c.isn] = append(byISN[c.isn], c)
	}
	for _, m := range ms {
		followed := slices.ContainsFunc(m.client.steps, func(s step) bool { return s.rewritten })
		if !m.proxied || m.client.established() || !m.f.knowsISN || followed {
			continue
		}
		var mine *candidate
		for _, c := range byISN[m.f.isn] {
			if _, collected := a.wanted.index[c.tuple]; !collected || c.tuple == m.f.tuple || !a.fits(m, c, a.windowOf(m)) {
				continue
			}
			if mine != nil { // whose number it is, nobody knows
				mine = nil
				break
			}
			mine = c
		}
		if mine != nil {
			m.pairing = pairing{views: []*flowView{a.look(mine).view}, how: "found by the client's own initial sequence number: the proxy passes packets through"}
		}
	}
}

// passes tells whether the proxy is known to pass the client's packets through.
func (m *matter) passes() bool {
	if !m.f.knowsISN || len(m.pairing.views) == 0 {
		return false
	}
	v := m.pairing.views[0]
	return v.known && v.isn == m.f.isn
}
