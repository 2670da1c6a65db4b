package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/internal/tshark"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// buildTLS builds a lab whose virtual server is whatever handle does, over TLS, closing it
// with the test. before, if it is not nil, has each connection first; it may take it.
func buildTLS(t *testing.T, config *tls.Config, before func(n int, c *net.TCPConn) (taken bool), handle http.HandlerFunc) (*topology.Host, Batch) {
	t.Helper()
	lab := labtest.Build(t, topology.IPv4)
	a := topology.StandardAddresses(topology.IPv4)
	l, err := lab.Host(topology.F5).Listen(t.Context(), "tcp", a.VIP.String())
	if err != nil {
		t.Fatal(err)
	}
	if config == nil {
		config = &tls.Config{}
	}
	config.Certificates = []tls.Certificate{certificate(t)}
	var next map[string]func(*http.Server, *tls.Conn, http.Handler)
	if config.NextProtos != nil {
		next = map[string]func(*http.Server, *tls.Conn, http.Handler){} // and nothing of its own
	}
	server := &http.Server{TLSNextProto: next, Handler: handle, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0)}
	var served sync.WaitGroup
	served.Go(func() { _ = server.ServeTLS(&choosy{Listener: l, before: before}, "", "") })
	t.Cleanup(func() { server.Close(); served.Wait() })
	return lab.Host(topology.Client), Batch{Server: a.VIP, Local: a.Client, Requests: 1, Concurrency: 1, Timeout: patience}
}

// choosy is a listener whose connections are somebody else's first.
type choosy struct {
	net.Listener
	before func(n int, c *net.TCPConn) bool
	n      int
}

func (l *choosy) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || l.before == nil {
			return c, err
		}
		if l.n++; !l.before(l.n-1, c.(*net.TCPConn)) {
			return c, nil
		}
	}
}

// certificate is one that nobody vouches for.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func ordinalOf(r *http.Request) string { return r.Header.Get("X-Request-ID") }

// resets ends a connection with a RST.
func resets(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

func TestTheOutcomeOverTLSIsWhatTheClientSaw(t *testing.T) {
	t.Parallel()
	both := []Protocol{HTTPS, HTTP2}
	answers := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	for _, row := range []struct {
		name   string
		over   []Protocol
		config *tls.Config
		before func(n int, c *net.TCPConn) bool
		handle http.HandlerFunc
		want   Outcome
		status int
		detail string
	}{
		{"an answer", both, nil, nil, answers, OK, 200, ""},
		{"404 is an answer", both, nil, nil, http.NotFound, OK, 404, ""},
		{"503", both, nil, nil, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, Error, 503, ""},
		{"a RST instead of a handshake", both, nil, func(_ int, c *net.TCPConn) bool { resets(c); return true }, answers, Reset, 0, "connection reset"},
		{"a FIN instead of a handshake", both, nil, func(_ int, c *net.TCPConn) bool {
			_, _ = c.Read(make([]byte, 4096))
			c.Close()
			return true
		}, answers, Truncated, 0, "EOF"},
		{"no TLS at all", both, nil, func(_ int, c *net.TCPConn) bool {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			_ = c.CloseWrite()
			return true
		}, answers, TLS, 0, "first record does not look like a TLS handshake"},
		{"an alert, for the client has no certificate", both, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, nil, answers, TLS, 0, "tls: "},
		{"an alert, for nobody speaks HTTP/2", []Protocol{HTTP2}, &tls.Config{NextProtos: []string{"http/1.1"}}, nil, answers, TLS, 0, "no application protocol"},
		{"silence instead of a handshake", both, nil, func(_ int, c *net.TCPConn) bool {
			_, _ = io.Copy(io.Discard, c)
			c.Close()
			return true
		}, answers, Timeout, 0, "deadline exceeded"},
		{"silence instead of an answer", both, nil, nil, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Timeout, 0, "deadline exceeded"},
		{"a connection that ends without an answer", []Protocol{HTTPS}, nil, nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Truncated, 0, "EOF"},
		{"a stream that is reset", []Protocol{HTTP2}, nil, nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Reset, 0, "INTERNAL_ERROR"},
		{"an answer that ends early", []Protocol{HTTPS}, nil, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "half")
		}, Truncated, 200, "EOF"},
		{"a stream that is reset in the middle of an answer", []Protocol{HTTP2}, nil, nil, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, Reset, 200, "INTERNAL_ERROR"},
	} {
		for _, protocol := range row.over {
			t.Run(row.name+", "+string(protocol), func(t *testing.T) {
				t.Parallel()
				host, b := buildTLS(t, row.config.Clone(), row.before, row.handle)
				b.Protocol = protocol
				if row.want == Timeout {
					b.Timeout = 300 * time.Millisecond
				}
				records, err := Run(t.Context(), host, b)
				if err != nil {
					t.Fatal(err)
				}
				r := records[0]
				if r.Outcome != row.want || r.Status != row.status || !strings.Contains(r.Detail, row.detail) || row.detail == "" && r.Detail != "" {
					t.Errorf("got %+v, want %s with status %d and %q", r, row.want, row.status, row.detail)
				}
				if d := r.End.Sub(r.Start); row.want == Timeout && (d < b.Timeout || d > b.Timeout+5*time.Second) {
					t.Errorf("timed out after %v", d)
				}
			})
		}
	}
	t.Run("no listener", func(t *testing.T) {
		t.Parallel()
		host, b := build(t, nil)
		b.Protocol = HTTPS
		if records, err := Run(t.Context(), host, b); err != nil || records[0].Outcome != Refused {
			t.Errorf("got %+v, %v", records, err)
		}
	})
	t.Run("an address that is not the client's", func(t *testing.T) {
		t.Parallel()
		host, b := build(t, nil)
		b.Protocol, b.Local = HTTPS, netip.MustParseAddr("198.18.50.99")
		if records, err := Run(t.Context(), host, b); err != nil || records[0].Outcome != Local {
			t.Errorf("got %+v, %v", records, err)
		}
	})
}

func TestTheKeyLogOpensWhatWasCaptured(t *testing.T) {
	t.Parallel()
	for _, protocol := range []Protocol{HTTPS, HTTP2} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			host, b := buildTLS(t, nil, nil, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
			file := filepath.Join(t.TempDir(), "client.pcapng")
			session, err := capture.Start([]capture.Point{{Hop: topology.Client, Face: topology.ClientFace, Side: capture.Clientside,
				Taps: []capture.Tap{{Host: host, Interface: topology.ClientFace}}}},
				func(*capture.Point) (io.WriteCloser, error) { return os.Create(file) }, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			keys, err := os.Create(filepath.Join(t.TempDir(), "keys.log"))
			if err != nil {
				t.Fatal(err)
			}
			defer keys.Close()
			b.Protocol, b.KeyLog, b.Requests, b.Concurrency = protocol, keys, 5, 2
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Stop(); err != nil {
				t.Error(err)
			}
			header := map[Protocol]string{HTTPS: `http.request.line == "X-Request-Id: %d\r\n"`,
				HTTP2: `http2.header.name == "x-request-id" && http2.header.value == "%d"`}[protocol]
			for _, r := range records {
				filter := fmt.Sprintf("tcp.srcport == %d && "+header, r.Local.Port(), r.Ordinal)
				frames, err := tshark.FramesOpened(t.Context(), file, keys.Name(), filter)
				if errors.Is(err, tshark.ErrMissing) {
					t.Skip(err)
				}
				if err != nil || len(frames) == 0 {
					t.Errorf("request %d is in frames %v, %v", r.Ordinal, frames, err)
				}
			}
			// A client that ends in good order does not reset.
			if frames, err := tshark.Frames(t.Context(), file, "tcp.flags.reset == 1 && ip.src == "+b.Local.String()); err != nil || len(frames) > 0 {
				t.Errorf("frames %v are RSTs, %v", frames, err)
			}
		})
	}
}
