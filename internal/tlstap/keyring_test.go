package tlstap

import (
	"bytes"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

func TestKeyLogs(t *testing.T) {
	random, secret := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	for _, row := range []struct {
		name string
		log  string
		keys int
		err  error
	}{
		{"an empty one has no keys", "", 0, nil},
		{"comments and empty lines are skipped", "# SSL/TLS secrets log file\n\n \r\n", 0, nil},
		{"a line with CRLF counts", "CLIENT_RANDOM " + random + " " + secret + "\r\n", 1, nil},
		{"the last line needs no end", "CLIENT_TRAFFIC_SECRET_0 " + random + " " + secret, 1, nil},
		{"a line cut short is skipped", "CLIENT_RANDOM " + random + " " + secret + "\nCLIENT_RANDOM " + random[:20], 1, nil},
		{"a label of no use is a key all the same", "EXPORTER_SECRET " + random + " " + secret + "\n", 0, nil},
		{"a long line is skipped, the next one is not", strings.Repeat("x", 5000) + "\nCLIENT_RANDOM " + random + " " + secret + "\n", 1, nil},
		{"lines, and none of them is a key", "hello world\n", 0, ErrNoKeys},
		{"a secret that is no hexadecimal number", "CLIENT_RANDOM " + random + " xx\n", 0, ErrNoKeys},
		{"a random of the wrong length", "CLIENT_RANDOM 0a " + secret + "\n", 0, ErrNoKeys},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r KeyRing
			if err := r.ReadKeyLog(strings.NewReader(row.log)); !errors.Is(err, row.err) || r.Len() != row.keys {
				t.Errorf("%d keys, %v; want %d, %v", r.Len(), err, row.keys, row.err)
			}
		})
	}
}

func TestSecretsComplementEachOther(t *testing.T) {
	var r, other KeyRing
	random := [32]byte{1}
	r.Add(random, Secrets{ClientTraffic: []byte{1}})
	if r.Of(random).Opens() {
		t.Error("one direction's secret opens it")
	}
	other.Add(random, Secrets{ServerTraffic: []byte{2}})
	r.AddAll(&other)
	r.AddAll(nil)
	if s := r.Of(random); !s.Opens() || s.ClientTraffic[0] != 1 || s.ServerTraffic[0] != 2 {
		t.Error("a secret is missing")
	}
	var none *KeyRing
	if none.Of(random) != nil || none.Len() != 0 || none.Of(random).Opens() {
		t.Error("a nil ring has keys")
	}
}

func FuzzKeyLog(f *testing.F) {
	f.Add([]byte("CLIENT_RANDOM " + strings.Repeat("0a", 32) + " " + strings.Repeat("0b", 48) + "\n# x\nSERVER_TRAFFIC_SECRET_0 00 11"))
	f.Fuzz(func(t *testing.T, log []byte) {
		var r KeyRing
		if err := r.ReadKeyLog(bytes.NewReader(log)); err != nil && (!errors.Is(err, ErrNoKeys) || r.Len() > 0) {
			t.Fatal(err)
		}
		if r.Len() > bytes.Count(log, []byte("\n"))+1 {
			t.Fatalf("%d keys", r.Len())
		}
	})
}

// FuzzConn damages a connection whose keys are known: what is read of it is what was
// said, as far as it goes, and never more; nothing crashes, and little is kept.
func FuzzConn(f *testing.F) {
	tp, log := talk(f, &tls.Config{}, &tls.Config{})
	var whole [2][]byte
	for _, s := range tp.all {
		whole[s.side] = append(whole[s.side], s.b...)
	}
	ring := ringOf(f, log)
	f.Add(uint16(0), []byte{}, uint16(0), []byte{}, uint16(0), uint16(0), uint8(50))
	f.Add(uint16(80), []byte{0, 16}, uint16(100), []byte{43}, uint16(400), uint16(3), uint8(255))
	f.Add(uint16(5), []byte{2, 255}, uint16(5), []byte{1}, uint16(10), uint16(3000), uint8(1))
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, at2 uint16, patch2 []byte, lost, howMuch uint16, piece uint8) {
		up, down := bytes.Clone(whole[Client]), bytes.Clone(whole[Server])
		copy(up[int(at)%len(up):], patch)
		copy(down[int(at2)%len(down):], patch2)
		c := &Conn{Keys: ring}
		var h heard
		n := int(piece)*8 + 1
		for side, b := range [][]byte{up, down} {
			for i := 0; len(b) > 0; i++ {
				k := min(n, len(b))
				c.Feed(Side(side), b[:k], Mark{}, &h)
				if b = b[k:]; i == int(lost) {
					k = min(int(howMuch), len(b))
					c.Lost(Side(side), k)
					b = b[k:]
				}
			}
		}
		for i := range c.halves {
			if k := &c.halves[i]; len(k.pending) > headLen+maxBody || len(k.message) > maxMessage || k.skip > maxBody {
				t.Fatalf("%d bytes pending, %d of a message, %d to skip", len(k.pending), len(k.message), k.skip)
			}
		}
		if got := h.said[Client].String(); !strings.HasPrefix(strings.Repeat(question, 3), got) {
			t.Fatalf("the client said %q", got)
		}
		if got := h.said[Server].Bytes(); !bytes.HasPrefix(bytes.Repeat(reply, 3), got) {
			t.Fatalf("the server said %q", got)
		}
	})
}
