package bigip

import (
	"strings"
	"time"
)

// FastL4Profile is a fastL4 profile, for virtual servers of that type.
type FastL4Profile struct {
	IdleTimeout      time.Duration `yaml:"idle-timeout"` // 0 means 300 s
	ResetOnTimeout   *bool         `yaml:"reset-on-timeout"`
	HandshakeTimeout time.Duration `yaml:"tcp-handshake-timeout"` // 0 means 5 s
}

func (p *FastL4Profile) validate(bad report) {
	timeout(bad, "idle-timeout", p.IdleTimeout)
	timeout(bad, "tcp-handshake-timeout", p.HandshakeTimeout)
}

// timeout reports one that is out of bounds; 0 is the default.
func timeout(bad report, key string, d time.Duration) {
	if d != 0 && (d < minRTO || d > maxTimeout) {
		bad("%s %v: must be %v to %v", key, d, minRTO, maxTimeout)
	}
}

// HTTPProfile is an http profile.
type HTTPProfile struct {
	MaxHeaderSize       int      `yaml:"max-header-size"`       // bytes; 0 means 32768
	MaxHeaderCount      int      `yaml:"max-header-count"`      // 0 means 64
	InsertXForwardedFor bool     `yaml:"insert-xforwarded-for"` // the client's address
	LBFailed            LBFailed `yaml:"lb-failed"`             // what the client gets where no member answers
}

// LBFailed is what a client gets whose request no member answers. A BIG-IP resets; an
// iRule for the event LB_FAILED may respond instead.
type LBFailed string

// The ways. The zero value means reset.
const (
	LBFailedReset LBFailed = "reset" // of the connection; with HTTP/2, of the stream
	LBFailed502   LBFailed = "502"
	LBFailed503   LBFailed = "503"
	LBFailedClose LBFailed = "close" // a FIN; with HTTP/2, the stream is reset
)

// Limits of an http profile: its defaults (enforcement) and the largest header that
// there is room for.
const (
	defaultHeaderSize  = 32768
	defaultHeaderCount = 64
	maxHeaderSize      = 256 << 10
)

func (p *HTTPProfile) headerSize() int  { return orElse(p.MaxHeaderSize, defaultHeaderSize) }
func (p *HTTPProfile) headerCount() int { return orElse(p.MaxHeaderCount, defaultHeaderCount) }

// HeaderLimits returns how many bytes and how many lines a request's header may have.
func (p *HTTPProfile) HeaderLimits() (size, count int) { return p.headerSize(), p.headerCount() }

func (p *HTTPProfile) validate(bad report) {
	oneOf(bad, "lb-failed", p.LBFailed, LBFailedReset, LBFailed502, LBFailed503, LBFailedClose)
	notNegative(bad, "max-header-count", p.MaxHeaderCount)
	if p.MaxHeaderSize < 0 || p.MaxHeaderSize > maxHeaderSize {
		bad("max-header-size %d: must be 1 to %d", p.MaxHeaderSize, maxHeaderSize)
	}
}

// ClientSSL is a client-ssl profile: the f5 ends TLS with a certificate that it makes
// for itself.
type ClientSSL struct {
	HandshakeTimeout time.Duration `yaml:"handshake-timeout"` // 0 means 10 s
	Ciphers          string        `yaml:"ciphers"`           // TLS 1.2 suites by IANA's names, colon-separated; "" means Go's
	MinVersion       TLSVersion    `yaml:"min-version"`
	MaxVersion       TLSVersion    `yaml:"max-version"`
}

// TLSVersion is a version of TLS. The zero value leaves it to the other end.
type TLSVersion string

// The versions.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

func (p *ClientSSL) validate(bad report) {
	timeout(bad, "handshake-timeout", p.HandshakeTimeout)
	oneOf(bad, "min-version", p.MinVersion, TLS12, TLS13)
	oneOf(bad, "max-version", p.MaxVersion, TLS12, TLS13)
	if p.Ciphers != "" && len(suites(p.Ciphers)) != strings.Count(p.Ciphers, ":")+1 {
		bad("ciphers %q: not all are names of cipher suites, such as TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", p.Ciphers)
	}
	if p.MinVersion == TLS13 && p.MaxVersion == TLS12 {
		bad("max-version %q: is below min-version", p.MaxVersion)
	}
}
