package analyzer

import "net/netip"

// toProxy tells whether connections to an endpoint are those of clients to
// the proxy: a clientside point saw them, or — where only the proxy itself was
// captured — they are in the VLAN of the file's very first connection, which
// a proxy opens only after a client's.
func (f *pathFinder) toProxy(server netip.AddrPort) bool {
	clientPoints := false
	for _, s := range f.surveys {
		if s.point.Side == Clientside && s.conns.len() > 0 {
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
	if id, ok := s.names.find(server.Addr()); ok {
		if v := s.servers[endpoint{id, server.Port()}]; v != nil && v.side != unknown {
			return v.side == front
		}
	}
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
		for j := range s.conns.len() {
			t := s.tuple(s.conns.at(j))
			a := t.client.Addr()
			if clientside[s.conns.at(j).server] {
				a = t.server.Addr()
			}
			own[a] = own[a] || !f.order.isBare(i) || s.sendsHere(a)
		}
		f.proxyOwn[i] = own
	}
}

// inferSides fills in the sides that nobody told, from whom connections go to:
// the first point in path order is the clients', points that saw other
// destinations only are behind a proxy, and one that saw both kinds is the
// proxy's own.
func inferSides(surveys []*survey) {
	toClients := map[netip.AddrPort]bool{}
	for _, s := range surveys {
		if s.conns.len() == 0 {
			continue
		}
		if s.point.Side == Clientside || s.point.Side == "" && len(toClients) == 0 {
			for e := range s.servers {
				// One VLAN is one network; several in the first file are a
				// proxy's sides, of which the clients' came first.
				if at := addrPort(s.names.addr(e.addr), e.port); !s.severalVLANs() || s.clientside(at) {
					toClients[at] = true
				}
			}
		}
	}
	for _, s := range surveys {
		if s.point.Side != "" {
			continue
		}
		front, back := false, false
		for e := range s.servers {
			if toClients[addrPort(s.names.addr(e.addr), e.port)] {
				front = true
			} else {
				back = true
			}
		}
		switch {
		case front && back:
			s.point.Side = Both
		case front:
			s.point.Side = Clientside
		case back:
			s.point.Side = Serverside
		}
	}
}

func (s *survey) severalVLANs() bool {
	vlans := map[uint16]bool{}
	for _, v := range s.servers {
		vlans[v.vlan] = true
	}
	return len(vlans) > 1
}
