package wire

import (
	"cmp"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// InjectRST forges a RST and sends it ahead of each packet, as censors, intrusion
// prevention and some load balancers do.
type InjectRST struct {
	// Back sends it to where the packet came from, in the name of whom it was for;
	// else it goes where the packet goes, in the name of who sent it.
	Back bool
	// TTL, or hop limit, that it has on this link: whoever forges with care takes the one
	// that packets of the other end have there. 0 is 255.
	TTL uint8
}

// forgedTTL is that of what a network appliance sends by itself: it differs from that of
// the end in whose name it is sent, which is the classic sign of a forgery.
const forgedTTL = 255

func (i InjectRST) take(w *Wire, p Packet) {
	rst, err := i.forge(p.IP)
	switch {
	case err != nil:
		w.note(nil, err)
	case i.Back:
		w.answer(Packet{p.Ether, rst})
	default:
		w.sendCopy(Packet{p.Ether, rst})
	}
	w.send(p)
}

// forge makes the RST. Its sequence number is exactly the one that its receiver waits for:
// all others are answered with a challenge ACK (RFC 5961 §3.2).
func (i InjectRST) forge(ip []byte) ([]byte, error) {
	s, err := parse(ip)
	if err != nil {
		return nil, err
	}
	rst := &layers.TCP{SrcPort: s.tcp.SrcPort, DstPort: s.tcp.DstPort, Seq: s.tcp.Seq, Ack: s.tcp.Ack, RST: true, ACK: true}
	source, destination := s.network.NetworkFlow().Endpoints()
	if i.Back {
		source, destination = destination, source
		rst.SrcPort, rst.DstPort = rst.DstPort, rst.SrcPort
		rst.Seq, rst.Ack = s.tcp.Ack, s.tcp.Seq+s.length()
	}
	ttl := cmp.Or(i.TTL, forgedTTL)
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if _, is4 := s.network.(*layers.IPv4); is4 {
		head := &layers.IPv4{Version: 4, TTL: ttl, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP, SrcIP: source.Raw(), DstIP: destination.Raw()}
		err = rst.SetNetworkLayerForChecksum(head)
		if err == nil {
			err = gopacket.SerializeLayers(buffer, options, head, rst)
		}
	} else {
		head := &layers.IPv6{Version: 6, HopLimit: ttl, NextHeader: layers.IPProtocolTCP, SrcIP: source.Raw(), DstIP: destination.Raw()}
		err = rst.SetNetworkLayerForChecksum(head)
		if err == nil {
			err = gopacket.SerializeLayers(buffer, options, head, rst)
		}
	}
	return buffer.Bytes(), err
}
