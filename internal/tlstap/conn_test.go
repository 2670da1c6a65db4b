package tlstap

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/hopblame/hopblame/internal/tlstap/tlstest"
)

// tape is what both sides of a connection sent, in the order in which it was written.
type tape struct {
	mu  sync.Mutex
	all []said
}

type said struct {
	side Side
	b    []byte
}

// recorder writes to the tape what goes out.
type recorder struct {
	net.Conn
	side Side
	tape *tape
}

func (r *recorder) Write(b []byte) (int, error) {
	r.tape.mu.Lock()
	r.tape.all = append(r.tape.all, said{r.side, bytes.Clone(b)})
	r.tape.mu.Unlock()
	return r.Conn.Write(b)
}

// talk lets a client ask and a server answer, three times, and returns what was on
// the wire, and the key log.
func talk(t testing.TB, client, server *tls.Config) (*tape, string) {
	t.Helper()
	a, b := tlstest.Connected(t)
	tp := &tape{}
	var log bytes.Buffer
	client.InsecureSkipVerify, client.KeyLogWriter = true, &log
	server.Certificates = []tls.Certificate{tlstest.Certificate(t)}
	c, s := tls.Client(&recorder{a, Client, tp}, client), tls.Server(&recorder{b, Server, tp}, server)
	done := make(chan error, 1)
	go func() { // the tape is whole when it has closed
		err := answer(s)
		s.Close()
		done <- err
	}()
	buf := make([]byte, len(reply))
	for range 3 {
		if _, err := c.Write([]byte(question)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return tp, log.String()
}

// answer reads three questions and answers each.
func answer(s net.Conn) error {
	buf := make([]byte, len(question))
	for range 3 {
		if _, err := io.ReadFull(s, buf); err != nil {
			return err
		}
		if _, err := s.Write(reply); err != nil {
			return err
		}
	}
	return nil
}

const question = "GET / HTTP/1.1\r\nHost: vip\r\n\r\n"

var reply = bytes.Repeat([]byte("all is well, "), 4000) // several records

// heard collects what a connection said.
type heard struct {
	said    [2]bytes.Buffer
	sealed  [2]int // application data that was not opened, in records
	records []Record
}

func (h *heard) Record(r *Record) {
	switch {
	case r.Type == ApplicationData && r.Opened:
		h.said[r.Side].Write(r.Plain)
	case r.Type == ApplicationData:
		h.sealed[r.Side]++
	}
	kept := *r
	kept.Plain = nil
	h.records = append(h.records, kept)
}

// play feeds a tape to a connection, cut at random.
func (tp *tape) play(c *Conn, to Sink) {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	var at [2]uint32
	for _, s := range tp.all {
		for b := s.b; len(b) > 0; {
			n := 1 + r.IntN(min(len(b), 1460))
			c.Feed(s.side, b[:n], Mark{Seq: at[s.side]}, to)
			at[s.side] += uint32(n)
			b = b[n:]
		}
	}
}

func ringOf(t testing.TB, log string) *KeyRing {
	t.Helper()
	var r KeyRing
	if err := r.ReadKeyLog(strings.NewReader(log)); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestKeysOpenTheConnection(t *testing.T) {
	tls12 := func(suite uint16) *tls.Config {
		return &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}
	}
	for _, row := range []struct {
		name    string
		client  *tls.Config
		version uint16
		suite   uint16
	}{
		{"TLS 1.3 as Go chooses", &tls.Config{}, TLS13, 0},
		{"TLS 1.2 with AES-128-GCM", tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), TLS12, 0xC02B},
		{"TLS 1.2 with AES-256-GCM", tls12(tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384), TLS12, 0xC02C},
		{"TLS 1.2 with ChaCha20-Poly1305", tls12(tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), TLS12, 0xCCA9},
		{"TLS 1.3 after a retry for another group", &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP384}}, TLS13, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			server := &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
			if len(row.client.CurvePreferences) > 0 {
				server.CurvePreferences = []tls.CurveID{tls.CurveP384}
			}
			row.client.NextProtos = []string{"h2", "http/1.1"}
			tp, log := talk(t, row.client, server)
			var h heard
			c := &Conn{Keys: ringOf(t, log)}
			tp.play(c, &h)
			if c.Version != row.version || row.suite != 0 && c.Suite != row.suite || c.ALPN != "h2" || !c.OffersH2 || c.Sealed() {
				t.Errorf("version %#x, suite %#x, ALPN %q, offers h2 %v, sealed %v", c.Version, c.Suite, c.ALPN, c.OffersH2, c.Sealed())
			}
			if got := h.said[Client].String(); got != strings.Repeat(question, 3) {
				t.Errorf("the client said %.60q (%d bytes)", got, len(got))
			}
			if got := h.said[Server].Bytes(); !bytes.Equal(got, bytes.Repeat(reply, 3)) {
				t.Errorf("the server said %.60q (%d bytes)", got, len(got))
			}
		})
	}
}

func TestTrafficSecretsAloneOpenIt(t *testing.T) {
	tp, log := talk(t, &tls.Config{}, &tls.Config{})
	var some strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "TRAFFIC_SECRET_0") {
			some.WriteString(line)
		}
	}
	var h heard
	c := &Conn{Keys: ringOf(t, some.String())}
	tp.play(c, &h)
	if c.Sealed() || h.said[Client].String() != strings.Repeat(question, 3) || !bytes.Equal(h.said[Server].Bytes(), bytes.Repeat(reply, 3)) {
		t.Errorf("sealed %v, %d and %d bytes", c.Sealed(), h.said[Client].Len(), h.said[Server].Len())
	}
}

func TestWithoutKeysItIsSealed(t *testing.T) {
	tp, log := talk(t, &tls.Config{NextProtos: []string{"http/1.1"}}, &tls.Config{NextProtos: []string{"http/1.1"}})
	_, others := talk(t, &tls.Config{}, &tls.Config{})
	damaged := strings.NewReplacer("0", "1", "a", "b").Replace(log)
	wrong := ringOf(t, log)
	for _, s := range wrong.byRandom {
		s.ServerTraffic = bytes.Repeat([]byte{7}, len(s.ServerTraffic))
	}
	for _, row := range []struct {
		name string
		keys *KeyRing
		open bool // some of it can be read
	}{
		{"no keys", nil, false},
		{"keys of another connection", ringOf(t, others), false},
		{"a damaged key log", ringOf(t, damaged), false},
		{"a secret that is not its own", wrong, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var h heard
			c := &Conn{Keys: row.keys}
			tp.play(c, &h)
			if !c.Sealed() || c.Version != TLS13 || c.OffersH2 || h.said[Server].Len() > 0 || h.sealed[Server] == 0 {
				t.Errorf("sealed %v, version %#x, offers h2 %v, the server said %d bytes", c.Sealed(), c.Version, c.OffersH2, h.said[Server].Len())
			}
			if (h.said[Client].Len() > 0) != row.open {
				t.Errorf("the client said %d bytes", h.said[Client].Len())
			}
			sum := 0
			for _, r := range h.records {
				if r.Side == Client {
					sum += headLen + r.Length
				}
			}
			all := 0
			for _, s := range tp.all {
				if s.side == Client {
					all += len(s.b)
				}
			}
			if sum != all {
				t.Errorf("its client's records have %d bytes, %d were sent", sum, all)
			}
		})
	}
}

func TestLostBytesSealIt(t *testing.T) {
	tp, log := talk(t, &tls.Config{}, &tls.Config{})
	for _, row := range []struct {
		name string
		cut  int // bytes of each piece that are captured
	}{
		{"a snap length in the records' bodies", 300},
		{"a snap length in the records' heads", 3},
	} {
		t.Run(row.name, func(t *testing.T) {
			var h heard
			c := &Conn{Keys: ringOf(t, log)}
			for _, s := range tp.all {
				n := min(row.cut, len(s.b))
				c.Feed(s.side, s.b[:n], Mark{}, &h)
				if n < len(s.b) {
					c.Lost(s.side, len(s.b)-n)
				}
			}
			if !c.Sealed() || h.said[Server].Len() > 0 {
				t.Errorf("sealed %v, the server said %d bytes", c.Sealed(), h.said[Server].Len())
			}
		})
	}
	t.Run("a sealed record may be cut", func(t *testing.T) {
		var h heard
		c := &Conn{}
		c.Feed(Client, []byte{ApplicationData, 3, 3, 0, 100, 1, 2}, Mark{}, &h)
		c.Lost(Client, 98)
		c.Feed(Client, []byte{Alert, 3, 3, 0, 2, 1, 2}, Mark{}, &h)
		if c.Broken(Client) || len(h.records) != 2 || h.records[1].Type != Alert {
			t.Errorf("broken %v, records %+v", c.Broken(Client), h.records)
		}
		c.Lost(Client, 1)
		if !c.Broken(Client) || c.Broken(Server) {
			t.Errorf("broken %v and %v", c.Broken(Client), c.Broken(Server))
		}
	})
}

func TestWhatIsNotTLSBreaks(t *testing.T) {
	for _, s := range []string{"GET / HTTP/1.1", "\x16\x03\x01hello", "\x17\x04\x03\x00\x01a", "\x17\x03\x03\x48\x01"} {
		var h heard
		c := &Conn{}
		c.Feed(Client, []byte(s), Mark{}, &h)
		if !c.Broken(Client) || !c.Sealed() || len(h.records) > 0 {
			t.Errorf("%q: broken %v, %d records", s, c.Broken(Client), len(h.records))
		}
	}
}

func TestMarksAreWhereRecordsBegin(t *testing.T) {
	var h heard
	c := &Conn{}
	hello := []byte{Handshake, 3, 1, 0, 2, 9, 9, ApplicationData, 3, 3, 0, 1, 9}
	for i := range hello {
		c.Feed(Client, hello[i:i+1], Mark{Seq: uint32(100 + i), Time: int64(i)}, &h)
	}
	if len(h.records) != 2 || h.records[0].Begins != (Mark{Seq: 100}) || h.records[1].Begins != (Mark{Seq: 107, Time: 7}) {
		t.Errorf("got %+v", h.records)
	}
}

func TestSecretsDoNotShowThemselves(t *testing.T) {
	s := Secrets{Master: bytes.Repeat([]byte{0x5a}, 48)}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprint(&s), fmt.Sprintf("%+v %#v %s", s, s, s)} {
		if strings.Contains(text, "90") || strings.Contains(text, "5a") {
			t.Errorf("shows %s", text)
		}
	}
}
