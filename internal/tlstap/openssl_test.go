package tlstap

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/hopblame/hopblame/internal/tlstap/tlstest"
)

// TestOpenSSLsConnections reads connections whose server is OpenSSL: in suites that
// Go's server does not choose, and with a KeyUpdate, which Go never begins.
func TestOpenSSLsConnections(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl, the peer of this test, is not installed:", err)
	}
	for suite, name := range map[uint16]string{0x1301: "TLS_AES_128_GCM_SHA256", 0x1302: "TLS_AES_256_GCM_SHA384", 0x1303: "TLS_CHACHA20_POLY1305_SHA256"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pemFile := filepath.Join(dir, "cert.pem")
			writePEM(t, pemFile)
			server := exec.CommandContext(t.Context(), openssl, "s_server", "-unix", "s", "-cert", pemFile, "-key", pemFile,
				"-ciphersuites", name, "-tls1_3", "-naccept", "1")
			server.Dir = dir // it fails with paths of 32 characters
			commands, err := server.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			raw := dial(t, dir)
			tp := &tape{}
			var log bytes.Buffer
			wire := &bothWays{recorder: recorder{raw, Client, tp}, came: make(chan struct{}, 1000)}
			c := tls.Client(wire, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &log})
			say := func(s string) {
				if _, err := io.WriteString(c, s); err != nil {
					t.Fatal(err)
				}
			}
			hear := func(s string) {
				buf := make([]byte, len(s))
				if _, err := io.ReadFull(c, buf); err != nil || string(buf) != s {
					t.Errorf("%v, got %q", err, buf)
				}
			}
			tell := func(s string) {
				if _, err := io.WriteString(commands, s); err != nil {
					t.Fatal(err)
				}
			}
			say("one\n")
			tell("first\n")
			hear("first\n")
			for len(wire.came) > 0 {
				<-wire.came
			}
			second := make(chan struct{})
			go func() { hear("second\n"); close(second) }()
			tell("K\n") // update the keys, and ask for the client's update
			<-wire.came // it takes one command at a time
			tell("second\n")
			<-second
			say("two\n") // under new keys
			raw.Close()
			_ = server.Wait() // it ends with its connection, and not content
			var h heard
			conn := &Conn{Keys: ringOf(t, log.String())}
			tp.play(conn, &h)
			if conn.Suite != suite || conn.Sealed() {
				t.Errorf("suite %#x, sealed %v", conn.Suite, conn.Sealed())
			}
			if got := h.said[Client].String(); got != "one\ntwo\n" {
				t.Errorf("the client said %q", got)
			}
			if got := h.said[Server].String(); got != "first\nsecond\n" {
				t.Errorf("the server said %q", got)
			}
		})
	}
}

// dial connects to the server's socket as soon as it is there. OpenSSL wants its peer to have an address as well.
func dial(t *testing.T, dir string) net.Conn {
	t.Helper()
	at := func(name string) *net.UnixAddr { return &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"} }
	for t.Context().Err() == nil {
		c, err := net.DialUnix("unix", at("c"), at("s"))
		if err == nil {
			return c
		}
		if !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
		_ = os.Remove(at("c").Name)
		runtime.Gosched()
	}
	t.Fatal("the test ended first")
	return nil
}

// bothWays writes to the tape what comes in as well.
type bothWays struct {
	recorder
	came chan struct{}
}

func (b *bothWays) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.tape.mu.Lock()
	b.tape.all = append(b.tape.all, said{Server, bytes.Clone(p[:n])})
	b.tape.mu.Unlock()
	b.came <- struct{}{}
	return n, err
}

func writePEM(t *testing.T, file string) {
	t.Helper()
	cert := tlstest.Certificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
