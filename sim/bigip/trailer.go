package bigip

import (
	"encoding/binary"
	"net/netip"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/sim/capture"
)

// What a BIG-IP VE 13.1 writes into the trailer's fields.
const (
	flowTypeNormal = 0x40
	flagsNew       = 0x24   // cfflags of a flow that has carried no data yet
	flagsCarrying  = 0x8024 // … and of one that has
	egressHAUnit   = 1
	egressPriority = 3
)

// Version and platform of the box the capture claims to be from.
const (
	dptVersion    = "17.1.1.3 0.0.5"
	legacyVersion = "13.1.0.3 0.0.5"
	platformVE    = "Z100"
	physicalPorts = "1.1,1.2,1.3" // clientside, serverside, in the servers' network
)

// FileInfo returns the pseudo packet that a capture on the box begins with.
func (t *FlowTable) FileInfo() []byte {
	version := dptVersion
	if t.config.Format == Legacy {
		version = legacyVersion
	}
	return f5trailer.FileInfo{
		Command:  t.tcpdump.String(),
		Version:  version,
		Hostname: "f5.hopblame.example",
		Platform: platformVE,
		Product:  "BIG-IP",
		Session:  "0",
	}.Frame()
}

// AppendTrailer appends a frame's Ethernet trailer to dst. It is what the f5's
// capture asks for each frame; frames must come in the order of their time. Without
// any noise there is none, and dst is returned as it was.
func (t *FlowTable) AppendTrailer(dst []byte, f capture.Frame) []byte {
	t.advance(f.Time)
	s := clientside
	if f.VLAN == ServersideVLAN || f.VLAN == ServersVLAN {
		s = serverside
	}
	seg, isTCP := parseSegment(f.Data)
	ends := ends(f, seg)
	var h *flowHalf
	var tmm uint8
	clientSYN := s == clientside && !f.Outgoing && seg.flags&(flagSYN|flagACK) == flagSYN
	switch {
	case isTCP && clientSYN:
		// The kernel answers before the proxy hears of it: the SYN itself
		// opens the flow, and is the one packet that does not carry it. A
		// repeated SYN finds its flow there.
		if t.halves[ends] == nil || t.halves[ends].carrying {
			t.open(ends, ClientsideVLAN, clientTMM(ends))
		}
		tmm = t.halves[ends].tmm
	case isTCP:
		if h = t.halves[ends]; h != nil {
			tmm = h.tmm
		}
	}
	t.fill(h, tmm, f, seg)
	if isTCP && f.Outgoing && seg.flags&flagRST != 0 {
		t.fillRST(s, h, ends, f, seg)
	}
	out, err := t.trailer.AppendTo(dst)
	if err != nil {
		return dst // there is no noise; the lab's names are short and fixed, and fit
	}
	return out
}

// ends names the flow that a frame belongs to.
func ends(f capture.Frame, seg segment) tuple {
	if f.Outgoing {
		return tuple{remote: seg.dst, local: seg.src}
	}
	return tuple{remote: seg.src, local: seg.dst}
}

// fill describes the flow as it is at the frame's time.
func (t *FlowTable) fill(h *flowHalf, tmm uint8, f capture.Frame, seg segment) {
	tr := &t.trailer
	*tr = f5trailer.Trailer{HasLow: t.tcpdump.noise >= 1, HasMedium: t.tcpdump.noise >= 2, HasHigh: t.tcpdump.noise >= 3}
	port := physicalPorts[:3]
	switch f.VLAN {
	case ServersideVLAN:
		port = physicalPorts[4:7]
	case ServersVLAN:
		port = physicalPorts[8:]
	}
	if t.config.Format == Legacy {
		tr.Format = f5trailer.Legacy
		port = ""
	}
	tr.Low.Ingress = !f.Outgoing
	tr.Low.PhysicalPort = port
	tr.Low.TMM = tmm
	if h == nil || h.rejected {
		return
	}
	tr.Low.VirtualServer = t.config.VirtualServer.Name
	if f.VLAN == ServersVLAN {
		h.vlan = ServersVLAN // the peer's frames say so too
	}
	if t.tcpdump.ssl {
		tr.TLS, h.tls = h.tls, nil
	}
	m := &tr.Medium
	m.FlowID, m.FlowType = h.id, flowTypeNormal
	m.CFFlags = flagsNew
	if seg.flags&flagFIN != 0 {
		h.fins[0], h.fins[1] = h.fins[0] || !f.Outgoing, h.fins[1] || f.Outgoing
	}
	h.carrying = h.carrying || seg.payload > 0 || seg.flags&(flagFIN|flagRST) != 0
	if h.carrying {
		m.CFFlags = flagsCarrying
	}
	if f.Outgoing {
		m.HAUnit, m.Priority = egressHAUnit, egressPriority
	}
	if h.peer != nil {
		m.PeerID = h.peer.id
		tr.High = f5trailer.High{Protocol: protoTCP, VLAN: h.peer.vlan, Remote: h.peer.ends.remote, Local: h.peer.ends.local}
	}
}

// TCP flags (RFC 9293 §3.1) and protocol numbers.
const (
	flagFIN, flagSYN, flagRST, flagACK = 0x01, 0x02, 0x04, 0x10

	protoTCP  = 6
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	etherSize = 14
)

// segment is what the flow table needs of a frame.
type segment struct {
	src, dst netip.AddrPort
	seq      uint32
	flags    byte
	payload  int
}

// parseSegment reads a TCP segment from an untagged Ethernet frame of the lab:
// the kernel sends no IPv6 extension headers and no fragments here.
func parseSegment(b []byte) (s segment, ok bool) {
	if len(b) < etherSize+20 {
		return s, false
	}
	var src, dst netip.Addr
	var tcp []byte
	switch ip := b[etherSize:]; binary.BigEndian.Uint16(b[12:]) {
	case typeIPv4:
		head, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if ip[9] != protoTCP || head < 20 || total < head+20 || total > len(ip) {
			return s, false
		}
		src, dst = netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
		tcp = ip[head:total]
	case typeIPv6:
		if len(ip) < 60 || ip[6] != protoTCP {
			return s, false
		}
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total < 60 || total > len(ip) {
			return s, false
		}
		src, dst = netip.AddrFrom16([16]byte(ip[8:24])), netip.AddrFrom16([16]byte(ip[24:40]))
		tcp = ip[40:total]
	default:
		return s, false
	}
	s.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp))
	s.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))
	s.seq = binary.BigEndian.Uint32(tcp[4:])
	s.flags = tcp[13]
	s.payload = len(tcp) - int(tcp[12]>>4)*4
	return s, true
}
