package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"time"
)

// speakPlain: the client sends its request in the clear to a server that expects TLS.
func speakPlain(ctx context.Context, v *visit) error {
	v.Protocol = HTTP
	return v.send(ctx, "")
}

// offerOldCiphers: TLS 1.2 with cipher suites that nobody should accept any more
// (RFC 7465, RFC 9325 §4.1).
func offerOldCiphers(ctx context.Context, v *visit) error {
	config := v.tlsConfig(alpn[HTTPS])
	config.MaxVersion = tls.VersionTLS12
	config.CipherSuites = []uint16{tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}
	return v.offer(ctx, config)
}

// offerTLS11: no version above 1.1 (RFC 8996).
func offerTLS11(ctx context.Context, v *visit) error {
	config := v.tlsConfig(alpn[HTTPS])
	config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	return v.offer(ctx, config)
}

// distrustCertificate: the client looks for a root certificate that vouches for the
// server's, and has none: its trust store is empty. It says so with a fatal alert
// (RFC 5280 §6, RFC 8446 §4.4.2.4).
func distrustCertificate(ctx context.Context, v *visit) error {
	config := v.tlsConfig(alpn[HTTPS])
	config.InsecureSkipVerify, config.RootCAs, config.ServerName = false, x509.NewCertPool(), v.Server.Addr().String()
	return v.offer(ctx, config)
}

// offer sends the request over TLS if the server takes what the client offers.
func (v *visit) offer(ctx context.Context, config *tls.Config) error {
	tcp, err := v.dial(ctx)
	if err != nil {
		return err
	}
	defer tcp.Close()
	c, err := handshake(ctx, tcp, config)
	if err != nil {
		// What the server does after its alert belongs to what the client saw.
		_, _ = awaitEnd(ctx, tcp, time.Now().Add(partingTime))
		return err
	}
	return v.ask(ctx, c, v.compose(nil, v.record.Ordinal))
}
