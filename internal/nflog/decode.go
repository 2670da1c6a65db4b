package nflog

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// headerDecoder reads IP and TCP headers without allocating.
type headerDecoder struct {
	ip4     layers.IPv4
	ip6     layers.IPv6
	tcp     layers.TCP
	parser4 *gopacket.DecodingLayerParser
	parser6 *gopacket.DecodingLayerParser
	found   []gopacket.LayerType
}

func newHeaderDecoder() *headerDecoder {
	d := &headerDecoder{}
	d.parser4 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &d.ip4, &d.tcp)
	d.parser6 = gopacket.NewDecodingLayerParser(layers.LayerTypeIPv6, &d.ip6, &d.tcp)
	for _, p := range []*gopacket.DecodingLayerParser{d.parser4, d.parser6} {
		p.IgnoreUnsupported = true
	}
	return d
}

func (d *headerDecoder) packet(b []byte) (p Packet, err error) {
	if len(b) == 0 {
		return p, errors.New("a report came with an empty packet")
	}
	parser := d.parser4
	if b[0]>>4 == 6 {
		parser = d.parser6
	}
	if err := parser.DecodeLayers(b, &d.found); err != nil {
		return p, fmt.Errorf("decode a reported packet: %w", err)
	}
	if p, ok := icmpError(b); ok {
		return p, nil
	}
	if n := len(d.found); n == 0 || d.found[n-1] != layers.LayerTypeTCP {
		return p, errors.New("a reported packet is neither TCP nor an ICMP error about it")
	}
	var source, destination netip.Addr
	if d.found[0] == layers.LayerTypeIPv6 {
		source, _ = netip.AddrFromSlice(d.ip6.SrcIP)
		destination, _ = netip.AddrFromSlice(d.ip6.DstIP)
	} else {
		source, _ = netip.AddrFromSlice(d.ip4.SrcIP)
		destination, _ = netip.AddrFromSlice(d.ip4.DstIP)
		p.IPID = d.ip4.Id
	}
	p.Source = netip.AddrPortFrom(source, uint16(d.tcp.SrcPort))
	p.Destination = netip.AddrPortFrom(destination, uint16(d.tcp.DstPort))
	p.Seq = d.tcp.Seq
	return p, nil
}
