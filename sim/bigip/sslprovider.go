package bigip

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/netip"
	"sync"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
	"github.com/hopblame/hopblame/internal/tlstap"
)

// sslProvider collects the secrets of one client's TLS from its key log, for the
// trailers of a capture that asks for them (tcpdump --f5 ssl, TMOS 15 and later).
type sslProvider struct {
	table  *FlowTable
	client netip.AddrPort
	also   io.Writer // the key log of the whole proxy; nil for none

	mu   sync.Mutex
	keys tlstap.KeyRing
	told bool
}

// Write takes a line of the NSS key log: a label, the client's random and a secret.
func (p *sslProvider) Write(line []byte) (int, error) {
	p.learn(line)
	if p.also != nil {
		return p.also.Write(line)
	}
	return len(line), nil
}

// learn tells the secrets as soon as they are complete.
func (p *sslProvider) learn(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := f5trailer.TLSSecrets{}
	if fields := bytes.Fields(line); p.told || len(fields) != 3 || hex.DecodedLen(len(fields[1])) != len(t.ClientRandom) {
		return
	} else if _, err := hex.Decode(t.ClientRandom[:], fields[1]); err != nil || p.keys.ReadKeyLog(bytes.NewReader(line)) != nil {
		return
	}
	s := p.keys.Of(t.ClientRandom)
	if !s.Opens() {
		return
	}
	copy(t.MasterSecret[:], s.Master)
	t.ClientHandshake, t.ServerHandshake = s.ClientHandshake, s.ServerHandshake
	t.ClientTraffic, t.ServerTraffic = s.ClientTraffic, s.ServerTraffic
	p.table.secrets(p.client, t)
	p.told = true
}

// secrets is told of a client's TLS secrets as soon as they are complete: the next
// frame of the connection carries them.
func (t *FlowTable) secrets(client netip.AddrPort, s f5trailer.TLSSecrets) {
	record, err := s.TLV()
	if err != nil {
		return // longer than any that TLS has
	}
	t.post(event{kind: flowSecrets, client: t.clientTuple(client), tls: []f5trailer.TLV{record}})
}
