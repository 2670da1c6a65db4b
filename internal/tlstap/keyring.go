package tlstap

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// Secrets open one connection. The zero value opens none. It prints as what it is,
// not what it holds.
type Secrets struct {
	// Master is the master secret of TLS 1.2, of 48 bytes; nil if unknown.
	Master []byte
	// The traffic secrets of TLS 1.3, RFC 8446 §7.1; nil if unknown.
	ClientHandshake, ServerHandshake, ClientTraffic, ServerTraffic []byte
}

// String hides the secrets.
func (Secrets) String() string { return "TLS secrets" }

// GoString hides the secrets.
func (Secrets) GoString() string { return "tlstap.Secrets{…}" }

// Opens tells whether both directions' application data can be read.
func (s *Secrets) Opens() bool {
	return s != nil && (s.Master != nil || s.ClientTraffic != nil && s.ServerTraffic != nil)
}

// KeyRing holds secrets by the client random of their connections. The zero value is
// empty. It is not safe to add to it while others read.
type KeyRing struct {
	byRandom map[[32]byte]*Secrets
}

// Of returns the secrets of a connection; nil if it has none. A nil ring is empty.
func (r *KeyRing) Of(clientRandom [32]byte) *Secrets {
	if r == nil {
		return nil
	}
	return r.byRandom[clientRandom]
}

// Len is how many connections have secrets.
func (r *KeyRing) Len() int {
	if r == nil {
		return 0
	}
	return len(r.byRandom)
}

// Add puts in secrets; those that are nil change nothing.
func (r *KeyRing) Add(clientRandom [32]byte, s Secrets) {
	if r.byRandom == nil {
		r.byRandom = map[[32]byte]*Secrets{}
	}
	have := r.byRandom[clientRandom]
	if have == nil {
		have = &Secrets{}
		r.byRandom[clientRandom] = have
	}
	for _, x := range []struct{ to, from *[]byte }{{&have.Master, &s.Master}, {&have.ClientHandshake, &s.ClientHandshake},
		{&have.ServerHandshake, &s.ServerHandshake}, {&have.ClientTraffic, &s.ClientTraffic}, {&have.ServerTraffic, &s.ServerTraffic}} {
		if len(*x.from) > 0 {
			*x.to = *x.from
		}
	}
}

// AddAll puts in what another ring holds; a nil one holds nothing.
func (r *KeyRing) AddAll(other *KeyRing) {
	if other == nil {
		return
	}
	for random, s := range other.byRandom {
		r.Add(random, *s)
	}
}

// ErrNoKeys says that a key log has no line that is one.
var ErrNoKeys = errors.New("no line of it is a key: want LABEL CLIENT_RANDOM SECRET, as SSLKEYLOGFILE makes them")

// maxKeyLine is longer than any line of a key log.
const maxKeyLine = 1 << 10

// ReadKeyLog adds the secrets of a key log in NSS's format
// (draft-ietf-tls-keylogfile), as browsers, curl and Go's crypto/tls write it.
// Comments, empty lines and labels that are of no use here are skipped; so is a line
// that is damaged, for a log may be read while it is written. An [ErrNoKeys] says
// that there was nothing else.
func (r *KeyRing) ReadKeyLog(in io.Reader) error {
	b := bufio.NewReaderSize(in, maxKeyLine)
	keys, lines := 0, 0
	for {
		line, err := b.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			lines++
			if !long && r.addLine(line) {
				keys++
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of it
			_, err = b.ReadSlice('\n')
		}
		switch {
		case err == io.EOF && keys == 0 && lines > 0:
			return ErrNoKeys
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read: %w", err)
		}
	}
}

// addLine adds a line's secret, and tells whether the line is one of a key log.
func (r *KeyRing) addLine(line []byte) bool {
	f := bytes.Fields(line)
	if len(f) != 3 || len(f[1]) != 64 {
		return false
	}
	var random [32]byte
	if _, err := hex.Decode(random[:], f[1]); err != nil {
		return false
	}
	secret := make([]byte, hex.DecodedLen(len(f[2])))
	if _, err := hex.Decode(secret, f[2]); err != nil || len(secret) == 0 {
		return false
	}
	var s Secrets
	switch string(f[0]) {
	case "CLIENT_RANDOM":
		s.Master = secret
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		s.ClientHandshake = secret
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		s.ServerHandshake = secret
	case "CLIENT_TRAFFIC_SECRET_0":
		s.ClientTraffic = secret
	case "SERVER_TRAFFIC_SECRET_0":
		s.ServerTraffic = secret
	default:
		return true // CLIENT_EARLY_TRAFFIC_SECRET, EXPORTER_SECRET …
	}
	r.Add(random, s)
	return true
}
