package f5trailer

import (
	"encoding/binary"
	"net/netip"
)

// High is the high block: the addresses of the peer flow, the one on the proxy's
// other side. On a clientside packet Remote is the pool member and Local the
// translated source; on a serverside packet Remote is the client and Local the
// virtual address. Remote is always the end the box does not own, on ingress and
// egress alike. The zero value is a packet without a peer flow, also written as
// zeros by the box. Meaningful only if the peer id is not zero.
type High struct {
	// Protocol is the IP protocol of the peer flow: 6 for TCP; 0 before TMOS 11 (f5ethtrailer.peeripproto).
	Protocol uint8
	// VLAN is the box's own number for the peer flow's VLAN, counting down from 4094
	// for untagged ones (f5ethtrailer.peervlan).
	VLAN uint16
	// Remote is the end of the peer flow that the box does not own. IPv4 is never in
	// its v4-mapped form here, though it is on the wire. Zero if address and port are
	// zero (f5ethtrailer.peerremoteaddr, peerremoteaddr6, peerremoteport).
	Remote netip.AddrPort
	// Local is the end of the peer flow that the box owns, in the same form
	// (f5ethtrailer.peerlocaladdr, peerlocaladdr6, peerlocalport).
	Local netip.AddrPort
	// RemoteRouteDomain and LocalRouteDomain are the route domains of IPv4 addresses
	// in the form the box uses for its own and its monitors' traffic; 0 elsewhere
	// (f5ethtrailer.peerremotertdom, f5ethtrailer.peerlocalrtdom).
	RemoteRouteDomain, LocalRouteDomain uint16
	// HasRemoteRouteDomain and HasLocalRouteDomain tell route domain 0 in that form
	// from an ordinary address. Encoding: a route domain other than 0 implies them.
	HasRemoteRouteDomain, HasLocalRouteDomain bool
	// Version is the layout. Encoding: 0 is the newest of the format, DPT 1 or
	// legacy 0; no other is written. Decoding tells what was found.
	Version uint8
}

// dptHighVersion is the DPT layout; the legacy one has version 0.
const dptHighVersion = 1

// highLen is the length of the part both formats share.
const highLen = 39

// appendBody appends the part both formats share.
func (h *High) appendBody(out []byte) []byte {
	out = append(out, h.Protocol)
	out = binary.BigEndian.AppendUint16(out, h.VLAN)
	out = appendAddr(out, h.Remote.Addr(), h.RemoteRouteDomain, h.HasRemoteRouteDomain)
	out = appendAddr(out, h.Local.Addr(), h.LocalRouteDomain, h.HasLocalRouteDomain)
	out = binary.BigEndian.AppendUint16(out, h.Remote.Port())
	return binary.BigEndian.AppendUint16(out, h.Local.Port())
}

// check validates what appendBody would write.
func (h *High) check(format Format, version uint8) error {
	if h.Version != 0 && h.Version != version {
		return &ValueError{format, "high version", uint64(h.Version), "only the newest layout is written; use 0"}
	}
	if (h.HasRemoteRouteDomain || h.RemoteRouteDomain != 0) && !h.Remote.Addr().Unmap().Is4() {
		return &ValueError{format, "remote route domain", uint64(h.RemoteRouteDomain), "needs an IPv4 address"}
	}
	if (h.HasLocalRouteDomain || h.LocalRouteDomain != 0) && !h.Local.Addr().Unmap().Is4() {
		return &ValueError{format, "local route domain", uint64(h.LocalRouteDomain), "needs an IPv4 address"}
	}
	return nil
}

func (h *High) appendDPT(out []byte) ([]byte, error) {
	if err := h.check(DPT, dptHighVersion); err != nil {
		return out, err
	}
	return h.appendBody(appendTLVHeader(out, typeHigh, 8+highLen, dptHighVersion)), nil
}

// decodeBody decodes the part both formats share.
func (h *High) decodeBody(b []byte) (why string) {
	if len(b) < highLen {
		return "shorter than its fixed part"
	}
	h.Protocol = b[0]
	h.VLAN = binary.BigEndian.Uint16(b[1:])
	var addr netip.Addr
	addr, h.RemoteRouteDomain, h.HasRemoteRouteDomain = decodeAddr([16]byte(b[3:19]))
	h.Remote = addrPort(addr, binary.BigEndian.Uint16(b[35:]))
	addr, h.LocalRouteDomain, h.HasLocalRouteDomain = decodeAddr([16]byte(b[19:35]))
	h.Local = addrPort(addr, binary.BigEndian.Uint16(b[37:]))
	return ""
}

// routeDomainPrefix starts the 16 bytes of an IPv4 address with a route domain:
// 2620:0:c10:f501:0, then route domain, then address.
var routeDomainPrefix = [10]byte{0x26, 0x20, 0x00, 0x00, 0x0c, 0x10, 0xf5, 0x01, 0x00, 0x00}

// appendAddr appends the 16 bytes of an address: IPv6 as it is, IPv4 v4-mapped
// (RFC 4291 section 2.5.5.2) or with its route domain, none as zeros. A zone is dropped.
func appendAddr(out []byte, a netip.Addr, routeDomain uint16, hasRouteDomain bool) []byte {
	if !a.IsValid() {
		return append(out, make([]byte, 16)...)
	}
	b := a.As16()
	if hasRouteDomain || routeDomain != 0 {
		copy(b[:], routeDomainPrefix[:])
		binary.BigEndian.PutUint16(b[10:], routeDomain)
	}
	return append(out, b[:]...)
}

func decodeAddr(b [16]byte) (a netip.Addr, routeDomain uint16, hasRouteDomain bool) {
	if [10]byte(b[:10]) == routeDomainPrefix {
		return netip.AddrFrom4([4]byte(b[12:])), binary.BigEndian.Uint16(b[10:]), true
	}
	return netip.AddrFrom16(b).Unmap(), 0, false
}

// addrPort is the zero AddrPort for the zero address and port.
func addrPort(a netip.Addr, port uint16) netip.AddrPort {
	if port == 0 && a == netip.IPv6Unspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}
