package f5trailer

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func TestFromPacketFindsTheTrailerOfAPacket(t *testing.T) {
	v := vectors()[0]
	frame := cat(v.packet, v.trailer)
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	l, ok, err := FromPacket(p)
	if !ok || err != nil {
		t.Fatalf("got %t, %v", ok, err)
	}
	if d := diff(v.want, l.Trailer); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if l.Offset != packetLen4 || !bytes.Equal(l.LayerContents(), v.trailer) || l.LayerPayload() != nil {
		t.Errorf("got offset %d, contents %x", l.Offset, l.LayerContents())
	}
	p.Metadata().Length = len(frame) + 1
	if _, ok, _ := FromPacket(p); ok {
		t.Error("found a trailer in a packet cut short")
	}
}

func TestTrailerIsAGopacketLayer(t *testing.T) {
	v := vectors()[1]
	p := gopacket.NewPacket(v.trailer, LayerTypeF5EthernetTrailer, gopacket.Default)
	l, ok := p.Layer(LayerTypeF5EthernetTrailer).(*Layer)
	if !ok || p.ErrorLayer() != nil || l.Medium.FlowID != v.want.Medium.FlowID {
		t.Fatalf("got %v", p)
	}
	if got := LayerTypeF5EthernetTrailer.String(); got != "F5EthernetTrailer" {
		t.Errorf("name: got %q", got)
	}
	damaged := gopacket.NewPacket(v.trailer[:20], LayerTypeF5EthernetTrailer, gopacket.Default)
	if damaged.ErrorLayer() == nil {
		t.Error("a damaged trailer: got no error layer")
	}
}

func TestTrailerWorksInADecodingLayerParser(t *testing.T) {
	var l Layer
	parser := gopacket.NewDecodingLayerParser(LayerTypeF5EthernetTrailer, &l)
	var decoded []gopacket.LayerType
	v := vectors()[0]
	if err := parser.DecodeLayers(v.trailer, &decoded); err != nil {
		t.Fatal(err)
	}
	if len(decoded) != 1 || decoded[0] != LayerTypeF5EthernetTrailer || l.Medium.RSTCause != v.want.Medium.RSTCause {
		t.Errorf("got %v, %+v", decoded, l.Trailer)
	}
}
