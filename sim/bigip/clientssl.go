package bigip

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// defaultHandshakeTimeout is that of a client-ssl profile.
const defaultHandshakeTimeout = 10 * time.Second

// clientSSL ends the clients' TLS.
type clientSSL struct {
	config   *tls.Config
	timeout  time.Duration
	provides *FlowTable // whose capture wants the secrets; nil for none
}

func newClientSSL(c *Config) (*clientSSL, error) {
	certificate, err := selfSigned(c)
	if err != nil {
		return nil, fmt.Errorf("f5: client-ssl: make a certificate: %w", err)
	}
	p := &c.ClientSSL
	t := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, KeyLogWriter: c.KeyLog}
	if c.VirtualServer.Has(ProfileHTTP2) {
		t.NextProtos = []string{"h2"}
	}
	if c.VirtualServer.Has(ProfileHTTP) {
		t.NextProtos = append(t.NextProtos, "http/1.1")
	}
	if p.MinVersion == TLS13 {
		t.MinVersion = tls.VersionTLS13
	}
	if p.MaxVersion == TLS12 {
		t.MaxVersion = tls.VersionTLS12
	}
	t.CipherSuites = suites(p.Ciphers)
	return &clientSSL{config: t, timeout: orElse(p.HandshakeTimeout, defaultHandshakeTimeout)}, nil
}

// suites returns the ids of cipher suites by their names, separated by colons; nil for
// none, which means all.
func suites(names string) (ids []uint16) {
	for name := range strings.SplitSeq(names, ":") {
		for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
			if s.Name == name {
				ids = append(ids, s.ID)
			}
		}
	}
	return ids
}

// selfSigned makes a certificate for the virtual server's address.
func selfSigned(c *Config) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "f5.hopblame.example"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{c.VirtualServer.Destination.Addr().AsSlice()}, DNSNames: []string{"f5.hopblame.example"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// handshake does the TLS handshake with a client. Anything but NothingLeft is why it
// failed.
func (s *clientSSL) handshake(ctx context.Context, client *pipe) (*tls.Conn, Event) {
	// Not the context's: that would close the pipe, which the client would see as a FIN.
	_ = client.SetDeadline(time.Now().Add(s.timeout))
	config := s.config
	if s.provides != nil {
		config = config.Clone()
		config.KeyLogWriter = &sslProvider{table: s.provides, client: client.client, also: s.config.KeyLogWriter}
	}
	c := tls.Server(client, config)
	err := c.HandshakeContext(ctx)
	_ = client.SetDeadline(time.Time{})
	var record tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case err == nil:
		return c, NothingLeft
	case ctx.Err() != nil:
		return nil, ClientGone // the proxy ends
	case errors.As(err, &record):
		return nil, NotTLS
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, HandshakeSlow
	case errors.As(err, &remote) && remote.Op == "remote error":
		return nil, ClientSendsAlert
	case errors.As(err, &remote), client.broken() != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, ClientGone
	}
	return nil, NoCommonCipher
}
