package analyzer

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/hopblame/hopblame/internal/inetsum"
)

// aSegment is an Ethernet frame with a SYN, or with data.
func aSegment(t *testing.T, client, server, payload string) []byte {
	t.Helper()
	flags := byte(flagSYN)
	if payload != "" {
		flags = flagACK
	}
	f := &telling{client: netip.MustParseAddrPort(client), server: netip.MustParseAddrPort(server)}
	return newStory(t).serialize(told{flow: f, toServer: true, flags: flags, seq: 5, payload: payload})
}

func TestAPacketIsDamagedOnlyIfNothingElseExplainsItsChecksum(t *testing.T) {
	for _, family := range []struct {
		name, client, server string
		head                 int
	}{
		{"IPv4", "198.18.60.247:43166", "198.18.160.81:8000", 14 + 20},
		{"IPv6", "[2001:db8:60::247]:43166", "[2001:db8:160::81]:8000", 14 + 40},
	} {
		set := func(f []byte, sum uint16) []byte { binary.BigEndian.PutUint16(f[family.head+16:], sum); return f }
		pseudo := func(f []byte, length bool) uint16 {
			at, n := 14+12, 8
			if family.head > 34 {
				at, n = 14+8, 32
			}
			sum := inetsum.Add(protoTCP, f[at:at+n])
			if length {
				sum += uint32(len(f) - family.head)
			}
			return inetsum.Fold(sum)
		}
		for _, row := range []struct {
			name string
			edit func(f []byte) []byte
			want bool
		}{
			{"as it was sent", func(f []byte) []byte { return f }, false},
			{"with a bit turned over behind it", func(f []byte) []byte { f[len(f)-1] ^= 1; return f }, true},
			{"with another window", func(f []byte) []byte { f[family.head+14] ^= 0x80; return f }, true},
			{"with a checksum that is none", func(f []byte) []byte { return set(f, 0) }, false},
			{"with the sum of the pseudo header, as a card is given it", func(f []byte) []byte { return set(f, pseudo(f, true)) }, false},
			{"with that sum but for the length, for a card that cuts segments", func(f []byte) []byte { return set(f, pseudo(f, false)) }, false},
			{"with something behind the packet", func(f []byte) []byte { return append(f, 1, 2, 3) }, false},
			{"damaged, with something behind the packet", func(f []byte) []byte { f[len(f)-1] ^= 1; return append(f, 1, 2, 3) }, true},
			{"damaged, and cut by the capture", func(f []byte) []byte { f[family.head+14] ^= 1; return f[:len(f)-1] }, false},
		} {
			var p packet
			f := row.edit(aSegment(t, family.client, family.server, "POST /batch"))
			if !decode(linkEthernet, f, &p) || p.damaged() != row.want {
				t.Errorf("%s, %s: damaged is %v", family.name, row.name, p.damaged())
			}
		}
		syn := aSegment(t, family.client, family.server, "")
		var p packet
		if !decode(linkEthernet, syn, &p) || p.damaged() {
			t.Errorf("%s: a SYN is damaged", family.name)
		}
	}
	f := aSegment(t, "198.18.60.247:43166", "198.18.160.81:8000", "POST /batch")
	f[14+6] = 0x20 // more fragments: the checksum is that of all of them
	f[len(f)-1] ^= 1
	var p packet
	if !decode(linkEthernet, f, &p) || p.damaged() {
		t.Error("a first fragment is damaged")
	}
	f[14+6], f[14+2], f[14+3] = 0, 0, 0 // no length, as segmentation offload leaves it
	if !decode(linkEthernet, f, &p) || p.damaged() {
		t.Error("a packet without a length is damaged")
	}
}

func TestChecksumsTellNothingWhereMostAreWrong(t *testing.T) {
	for _, row := range []struct {
		sums
		want bool
	}{{sums{100, 0}, true}, {sums{100, 49}, true}, {sums{100, 50}, false}, {sums{1, 1}, false}, {sums{0, 0}, false}} {
		if row.telling() != row.want {
			t.Errorf("%+v: %v", row.sums, row.telling())
		}
	}
}
