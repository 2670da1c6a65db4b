package analyzer

import "net/netip"

// toProxy tells whether connections to an endpoint are those of clients to
// the proxy: a clientside point saw them, or — where only the proxy itself was
// captured — they are in the VLAN of the file's very first connection, which
// a proxy opens only after a client's.
func (f *pathFinder) toProxy(server netip.AddrPort) bool {
	clientPoints := false
	for _, s := range f.surveys {
		if s.point.Side == Clientside && len(s.conns) > 0 {
			clientPoints = true
			if f.isServerPort(s, server) {
				return true
			}
		}
		if s.point.Side == Serverside && f.isServerPort(s, server) {
			return false
		}
	}
	if clientPoints {
		return false
	}
	for _, s := range f.surveys {
		if s.point.Side == Both {
			return s.clientside(server)
		}
	}
	return false
}

// clientside sorts a proxy's own connections by VLAN or first appearance.
func (s *survey) clientside(server netip.AddrPort) bool {
	var first, mine *serverSeen
	for e, v := range s.servers {
		if first == nil || v.order < first.order {
			first = v
		}
		if s.names.addr(e.addr) == server.Addr() && e.port == server.Port() {
			mine = v
		}
	}
	return mine != nil && (mine == first || first.vlan != 0 && mine.vlan == first.vlan)
}

// findProxies notes which addresses are a proxy's own: those that clients
// connect to, and those it connects from. Interface addresses need not
// include either.
func (f *pathFinder) findProxies() {
	f.proxyOwn = make([]map[netip.Addr]bool, len(f.surveys))
	for i, s := range f.surveys {
		if s.point.Side != Both {
			continue
		}
		own := map[netip.Addr]bool{}
		for _, p := range s.addrs {
			own[p.Addr()] = true
		}
		clientside := map[*serverSeen]bool{}
		for e, v := range s.servers {
			clientside[v] = f.toProxy(addrPort(s.names.addr(e.addr), e.port))
		}
		for j := range s.conns {
			t := s.tuple(&s.conns[j])
			if clientside[s.conns[j].server] {
				own[t.server.Addr()] = true
			} else {
				own[t.client.Addr()] = true
			}
		}
		f.proxyOwn[i] = own
	}
}
