package nflog

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// segment is an IP packet with a TCP header, as NFLOG reports it.
func segment(source, destination netip.AddrPort, seq uint32, id uint16) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp, source.Port())
	binary.BigEndian.PutUint16(tcp[2:], destination.Port())
	binary.BigEndian.PutUint32(tcp[4:], seq)
	tcp[12], tcp[13] = 5<<4, 2
	if source.Addr().Is4() {
		ip := make([]byte, 20)
		ip[0], ip[8], ip[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(ip[2:], 40)
		binary.BigEndian.PutUint16(ip[4:], id)
		copy(ip[12:], source.Addr().AsSlice())
		copy(ip[16:], destination.Addr().AsSlice())
		return append(ip, tcp...)
	}
	ip := make([]byte, 40)
	ip[0], ip[5], ip[6], ip[7] = 0x60, 20, 6, 64
	copy(ip[8:], source.Addr().AsSlice())
	copy(ip[24:], destination.Addr().AsSlice())
	return append(ip, tcp...)
}

// unreachable is an ICMP error that quotes a packet, from a router to its sender.
func unreachable(quote []byte, quoted int, id uint16) []byte {
	if quote[0]>>4 == 4 {
		ip := make([]byte, 28)
		ip[0], ip[8], ip[9], ip[20], ip[21] = 0x45, 64, 1, 3, 13
		binary.BigEndian.PutUint16(ip[2:], uint16(28+quoted))
		binary.BigEndian.PutUint16(ip[4:], id)
		copy(ip[16:], quote[12:16])
		return append(ip, quote[:quoted]...)
	}
	ip := make([]byte, 48)
	ip[0], ip[5], ip[6], ip[7], ip[40], ip[41] = 0x60, byte(8+quoted), 58, 64, 1, 1
	copy(ip[24:], quote[8:24])
	return append(ip, quote[:quoted]...)
}

func TestALoggedICMPErrorIsAboutTheSegmentThatItQuotesAndGoesTheOtherWay(t *testing.T) {
	d := newHeaderDecoder()
	for _, row := range []struct {
		source, destination string
		ip                  int
		id                  uint16
	}{{"198.18.60.247:43166", "198.18.160.81:8000", 20, 999}, {"[2001:db8:60::247]:43166", "[2001:db8:160::81]:8000", 40, 0}} {
		source, destination := netip.MustParseAddrPort(row.source), netip.MustParseAddrPort(row.destination)
		whole := segment(source, destination, 1<<31+5, 7)
		for _, quoted := range []int{row.ip + 8, len(whole)} { // RFC 792 asks for eight bytes of TCP, and newer routers quote more
			p, err := d.packet(unreachable(whole, quoted, row.id))
			if err != nil || p.Source != destination || p.Destination != source || p.Seq != 1<<31+5 || p.IPID != row.id {
				t.Errorf("got %+v, %v", p, err)
			}
		}
		if p, err := d.packet(unreachable(whole, row.ip+7, row.id)); err == nil {
			t.Errorf("a quote without a sequence number gives %+v", p)
		}
	}
}

func TestALoggedPacketIsWhatItsHeadersSay(t *testing.T) {
	d := newHeaderDecoder()
	for _, row := range []struct {
		source, destination string
		id                  uint16
	}{{"198.18.60.247:43166", "198.18.160.81:8000", 999}, {"[2001:db8:60::247]:43166", "[2001:db8:160::81]:8000", 0}} {
		source, destination := netip.MustParseAddrPort(row.source), netip.MustParseAddrPort(row.destination)
		p, err := d.packet(segment(source, destination, 1<<31+5, row.id))
		if err != nil || p.Source != source || p.Destination != destination || p.Seq != 1<<31+5 || p.IPID != row.id {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	v4 := netip.MustParseAddrPort("198.18.60.247:1")
	tunnel := segment(v4, v4, 1, 1)
	tunnel[9] = 4 // IPv4 in IPv4, with no TCP at its end
	udp := segment(v4, v4, 1, 1)
	udp[9] = 17
	for name, b := range map[string][]byte{"nothing": nil, "a byte": {0x45}, "UDP": udp, "half a header": segment(v4, v4, 1, 1)[:30],
		"an IP packet in another": append(tunnel[:20:20], udp...)} {
		if p, err := d.packet(b); err == nil {
			t.Errorf("%s gives %+v", name, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	v4, v6 := netip.MustParseAddrPort("198.18.60.247:1"), netip.MustParseAddrPort("[2001:db8::1]:1")
	f.Add(segment(v4, v4, 1, 1))
	f.Add(segment(v6, v6, 1, 1))
	tunnel := segment(v4, v4, 1, 1)
	tunnel[9] = 4
	f.Add(append(tunnel[:20:20], segment(v4, v4, 2, 2)...))
	f.Add([]byte{0x60})
	f.Add(unreachable(segment(v4, v4, 1, 1), 40, 1))
	f.Add(unreachable(segment(v6, v6, 1, 1), 60, 1))
	d := newHeaderDecoder()
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := d.packet(b)
		if err != nil {
			return
		}
		fresh, err := newHeaderDecoder().packet(b)
		if err != nil || p != fresh {
			t.Fatalf("the result depends on the packet before: %+v, %+v, %v", p, fresh, err)
		}
		if !p.Source.IsValid() || !p.Destination.IsValid() {
			t.Fatalf("%+v", p)
		}
	})
}
