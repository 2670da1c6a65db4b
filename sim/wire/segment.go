package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// segment is a TCP segment in an IP packet.
type segment struct {
	network gopacket.NetworkLayer
	tcp     *layers.TCP
}

var errNotTCP = errors.New("it is no whole TCP segment")

// parse reads an IP packet without copying it.
func parse(ip []byte) (s segment, err error) {
	first := layers.LayerTypeIPv4
	if len(ip) > 0 && ip[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(ip, first, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if failed := p.ErrorLayer(); failed != nil {
		return s, fmt.Errorf("read a packet: %w", failed.Error())
	}
	if !ok {
		return s, fmt.Errorf("read a packet: %w", errNotTCP)
	}
	return segment{p.NetworkLayer(), tcp}, nil
}

// connection tells connections apart, and their directions.
func (s segment) connection() [2]gopacket.Flow {
	return [2]gopacket.Flow{s.network.NetworkFlow(), s.tcp.TransportFlow()}
}

// damaged says whether the checksum is wrong.
func (s segment) damaged() bool {
	source, destination := s.network.NetworkFlow().Endpoints()
	var sum uint32
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(source.Raw())
	add(destination.Raw())
	add(s.tcp.Contents)
	add(s.tcp.Payload)
	sum += uint32(layers.IPProtocolTCP) + uint32(len(s.tcp.Contents)+len(s.tcp.Payload)) // RFC 9293 §3.1
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return sum != 0xffff
}
