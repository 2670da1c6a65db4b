package bigip

import (
	"encoding/hex"
	"io"
	"net/netip"
	"strings"
	"sync"

	"github.com/hopblame/hopblame/analyzer/f5trailer"
)

// sslProvider collects the secrets of one client's TLS from its key log, for the
// trailers of a capture that asks for them (tcpdump --f5 ssl; K31793632).
type sslProvider struct {
	table  *FlowTable
	client netip.AddrPort
	also   io.Writer // the key log of the whole proxy; nil for none

	mu      sync.Mutex
	secrets f5trailer.TLSSecrets
}

// Write takes a line of the NSS key log: a label, the client's random and a secret.
func (p *sslProvider) Write(line []byte) (int, error) {
	if fields := strings.Fields(string(line)); len(fields) == 3 {
		p.learn(fields[0], fields[1], fields[2])
	}
	if p.also != nil {
		return p.also.Write(line)
	}
	return len(line), nil
}

func (p *sslProvider) learn(label, random, secret string) {
	value, err := hex.DecodeString(secret)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.secrets
	_, _ = hex.Decode(s.ClientRandom[:], []byte(random))
	switch label {
	case "CLIENT_RANDOM":
		copy(s.MasterSecret[:], value)
		p.table.secrets(p.client, *s)
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		s.ClientHandshake = value
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		s.ServerHandshake = value
	case "CLIENT_TRAFFIC_SECRET_0":
		s.ClientTraffic = value
	case "SERVER_TRAFFIC_SECRET_0":
		s.ServerTraffic = value
	}
	if s.ClientTraffic != nil && s.ServerTraffic != nil {
		p.table.secrets(p.client, *s)
	}
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
