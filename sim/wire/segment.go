package wire

import (
	"errors"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/hopblame/hopblame/internal/inetsum"
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

// length is how many sequence numbers the segment takes: SYN and FIN take one (RFC 9293 §3.4).
func (s segment) length() uint32 {
	n := uint32(len(s.tcp.Payload))
	if s.tcp.SYN {
		n++
	}
	if s.tcp.FIN {
		n++
	}
	return n
}

// damaged says whether the checksum is wrong.
func (s segment) damaged() bool { return inetsum.Fold(s.sum()) != 0xffff }

// sum is over all that the checksum covers, and itself (RFC 9293 §3.1).
func (s segment) sum() uint32 {
	source, destination := s.network.NetworkFlow().Endpoints()
	sum := uint32(layers.IPProtocolTCP) + uint32(len(s.tcp.Contents)+len(s.tcp.Payload))
	for _, part := range [][]byte{source.Raw(), destination.Raw(), s.tcp.Contents, s.tcp.Payload} {
		sum = inetsum.Add(sum, part)
	}
	return sum
}
