package client

import (
	"context"
	"crypto/tls"
	"net"
)

// tlsConfig is what the client offers. The f5's certificate is its own, and nobody
// vouches for it.
func (b *Batch) tlsConfig(protocol string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}, KeyLogWriter: b.KeyLog}
}

// handshake speaks TLS on a connection, which it closes at once where ctx ends it.
func handshake(ctx context.Context, c net.Conn, config *tls.Config) (*tls.Conn, error) {
	secured := tls.Client(c, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return secured, nil
}

// alpn names the protocols as the f5 and the client agree on them (RFC 7301).
var alpn = map[Protocol]string{HTTPS: "http/1.1", HTTP2: "h2"}
