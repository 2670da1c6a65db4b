package bigip

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// sums computes a datagram's checksums anew; 0 says that one is right.
func (d *datagram) sums() (ip, tcp uint16) {
	b := d.frame[etherSize:]
	pseudo := slices.Clone(b[8:40])
	if b[0]>>4 == 4 {
		pseudo, ip = slices.Clone(b[12:20]), checksum(b[:20])
	}
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(d.tcp)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, protoTCP)
	return ip, checksum(append(pseudo, d.tcp...))
}

// random makes an address and port, with many zeros and ones among them.
func random(rng *rand.Rand, ipv6 bool) netip.AddrPort {
	b := make([]byte, 16)
	for i := range b {
		b[i] = byte([]uint32{0, 0xff, rng.Uint32()}[rng.IntN(3)])
	}
	port := uint16([]uint32{0, 0xffff, rng.Uint32()}[rng.IntN(3)])
	if ipv6 {
		b[0] = 0x20
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b)), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), port)
}

func TestTranslationKeepsChecksumsRightAndWrongOnesWrong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, ipv6 := range []bool{false, true} {
		for i := range 20_000 {
			src, dst := random(rng, ipv6), random(rng, ipv6)
			b := frame(random(rng, ipv6), random(rng, ipv6), byte(rng.Uint32()), i%4)
			d, ok := parseDatagram(b)
			if !ok {
				t.Fatalf("% x is not read", b)
			}
			ip, tcp := d.sums()
			if !ipv6 {
				binary.BigEndian.PutUint16(d.frame[etherSize+10:], ip)
			}
			wrong := uint16(i%3) * 0x1111
			binary.BigEndian.PutUint16(d.tcp[16:], tcp-wrong)
			d.translate(src, dst)
			if !d.hop() {
				t.Fatal("there is no TTL")
			}
			ip, tcp = d.sums()
			if ip != 0 || (tcp == 0) != (wrong == 0) {
				t.Fatalf("%v > %v: the checksums are off by %#x and %#x, the segment's was by %#x", src, dst, ip, tcp, wrong)
			}
			again, ok := parseDatagram(d.frame)
			if !ok || again.src != src || again.dst != dst || again.seq != d.seq || again.flags != d.flags || again.payload != i%4 {
				t.Fatalf("translated to %v > %v it reads %v > %v", src, dst, again.src, again.dst)
			}
		}
	}
}

func TestADatagramWithoutTTLGoesNoFurther(t *testing.T) {
	for _, row := range []struct {
		src, dst string
		at       int
	}{{"198.18.50.88:1", "198.18.50.67:2", 8}, {"[2001:db8::1]:1", "[2001:db8::2]:2", 7}} {
		b := frame(mustAddrPort(row.src), mustAddrPort(row.dst), flagSYN, 0)
		for _, ttl := range []byte{0, 1, 2, 255} {
			d, _ := parseDatagram(bytes.Clone(b))
			d.frame[etherSize+row.at] = ttl
			if got := d.hop(); got != (ttl > 1) || got && d.frame[etherSize+row.at] != ttl-1 {
				t.Errorf("with a TTL of %d it goes on: %v, with %d", ttl, got, d.frame[etherSize+row.at])
			}
		}
	}
}

func FuzzDatagram(f *testing.F) {
	for _, s := range [][2]string{{"198.18.50.88:1", "198.18.50.67:2"}, {"[2001:db8::1]:1", "[2001:db8::2]:2"}} {
		f.Add(frame(mustAddrPort(s[0]), mustAddrPort(s[1]), flagSYN, 7))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseDatagram(b)
		if !ok {
			return
		}
		d.translate(d.dst, d.src)
		if again, ok := parseDatagram(b); !ok || again.src != d.dst || again.dst != d.src || len(again.frame) > len(b) {
			t.Errorf("translated it reads %+v, %v", again, ok)
		}
		d.hop()
		_, _ = d.opens(), d.end()
	})
}
