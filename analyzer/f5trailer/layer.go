package f5trailer

import "github.com/google/gopacket"

// LayerTypeF5EthernetTrailer is the trailer's layer type in gopacket, number 1245.
// gopacket cannot decode what lies behind a packet by itself: see [FromPacket].
var LayerTypeF5EthernetTrailer = gopacket.RegisterLayerType(1245, gopacket.LayerTypeMetadata{
	Name:    "F5EthernetTrailer",
	Decoder: gopacket.DecodeFunc(decodeLayer),
})

// Layer is a trailer as a gopacket layer. It is both a [gopacket.Layer] and a
// [gopacket.DecodingLayer]; the zero value is ready to decode into.
type Layer struct {
	Trailer
	// Offset is where the trailer starts in the frame, in bytes; 0 if the layer was
	// decoded from a trailer alone.
	Offset   int
	contents []byte
}

var (
	_ gopacket.Layer         = (*Layer)(nil)
	_ gopacket.DecodingLayer = (*Layer)(nil)
)

// LayerType returns [LayerTypeF5EthernetTrailer].
func (l *Layer) LayerType() gopacket.LayerType { return LayerTypeF5EthernetTrailer }

// LayerContents returns the bytes decoded: the trailer, and an FCS behind it if
// there is one.
func (l *Layer) LayerContents() []byte { return l.contents }

// LayerPayload returns nil: nothing follows a trailer.
func (l *Layer) LayerPayload() []byte { return nil }

// CanDecode returns [LayerTypeF5EthernetTrailer].
func (l *Layer) CanDecode() gopacket.LayerClass { return LayerTypeF5EthernetTrailer }

// NextLayerType returns [gopacket.LayerTypeZero]: nothing follows a trailer.
func (l *Layer) NextLayerType() gopacket.LayerType { return gopacket.LayerTypeZero }

// DecodeFromBytes decodes data, which starts with the trailer's first byte. Errors
// are those of [Decode].
func (l *Layer) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	l.Offset, l.contents = 0, data
	return Decode(data, &l.Trailer)
}

// FromPacket returns the trailer of a packet that starts with an Ethernet header,
// and whether there is one. A packet without capture metadata counts as whole. err
// is that of [Decode].
func FromPacket(p gopacket.Packet) (l *Layer, ok bool, err error) {
	data := p.Data()
	wireLength := p.Metadata().Length
	if wireLength == 0 {
		wireLength = len(data)
	}
	l = new(Layer)
	if l.Offset, ok, err = DecodeFrame(data, wireLength, &l.Trailer); !ok {
		return nil, false, nil
	}
	l.contents = data[l.Offset:]
	return l, true, err
}

func decodeLayer(data []byte, p gopacket.PacketBuilder) error {
	l := new(Layer)
	if err := l.DecodeFromBytes(data, p); err != nil {
		return err
	}
	p.AddLayer(l)
	return nil
}
