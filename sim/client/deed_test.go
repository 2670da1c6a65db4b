package client

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
)

// mood is a fault that strikes some requests, and its ledger.
type mood struct {
	fault   fault.Fault
	strikes func(ordinal int) bool

	mu    sync.Mutex
	notes []note
}

type note struct {
	source, destination netip.AddrPort
	ordinal             int
}

func (m *mood) Fault() fault.Fault          { return m.fault }
func (m *mood) Strikes(ordinal, _ int) bool { return m.strikes(ordinal) }
func (m *mood) Note(s, d netip.AddrPort, o int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.notes = append(m.notes, note{s, d, o})
}

func TestWhatTheClientDoesMeetsTheF5AsItShould(t *testing.T) {
	idle, shut := bigip.Fast, bigip.Fast
	idle.IdleTimeout, shut.ZeroWindowTimeout = 300*time.Millisecond, 300*time.Millisecond
	untold := idle
	untold.ResetOnTimeout = new(bool)
	const none = ""
	for _, row := range []struct {
		name     string
		protocol Protocol
		do       fault.Do
		f5       bigip.Config
		outcome  Outcome
		cause    string // of the RST that the f5 makes
		peer     bool   // … on the other half
	}{
		{"a malformed request is reset", HTTP, fault.SendMalformedRequest, bigip.Config{}, Reset, bigip.HTTPInternal.Text, false},
		{"a header above the limit is reset", HTTP, fault.SendLargeHeader, bigip.Config{}, Reset, bigip.HeaderTooLarge.Text, false},
		{"a header above a limit of one's own is reset", HTTP, fault.SendLargeHeader, bigip.Config{HTTP: bigip.HTTPProfile{MaxHeaderSize: 1000}},
			Reset, "HTTP header (1000) exceeded maximum allowed size of 1000", false},
		{"a header above the limit is reset, over TLS", HTTPS, fault.SendLargeHeader, bigip.Config{}, Reset, bigip.HeaderTooLarge.Text, false},
		{"a header with too many lines is reset", HTTP, fault.SendManyHeaders, bigip.Config{}, Reset, bigip.HeaderCount.Text, false},
		{"a header with too many lines is reset, over TLS", HTTPS, fault.SendManyHeaders, bigip.Config{}, Reset, bigip.HeaderCount.Text, false},
		{"an abort reaches the server", HTTP, fault.Abort, bigip.Config{}, Reset, bigip.RemoteReset.Text, true},
		{"an abort reaches the server, from TLS", HTTPS, fault.Abort, bigip.Config{}, Reset, bigip.RemoteReset.Text, true},
		{"a window that stays shut is reset", HTTP, fault.StopReading, bigip.Config{Clientside: shut}, Reset, bigip.ZeroWindow.Text, false},
		{"a window that stays shut is reset, over TLS", HTTPS, fault.StopReading, bigip.Config{Clientside: shut}, Reset, bigip.ZeroWindow.Text, false},
		{"a pause is too long", HTTP, fault.Pause, bigip.Config{Clientside: idle}, Reset, bigip.FlowExpired.Text, false},
		{"a pause is not too long", HTTP, fault.Pause, bigip.Config{}, OK, none, false},
		{"a pause is not too long, over TLS", HTTPS, fault.Pause, bigip.Config{}, OK, none, false},
		{"data after a pause finds no flow", HTTP, fault.Pause, bigip.Config{Clientside: untold}, Reset, none, false},
		{"plain HTTP is no TLS", HTTPS, fault.SpeakPlain, bigip.Config{}, Reset, bigip.BadSSLRecord.Text, false},
		{"plain HTTP is no TLS, nor HTTP/2", HTTP2, fault.SpeakPlain, bigip.Config{}, Reset, bigip.BadSSLRecord.Text, false},
		{"old ciphers are refused with an alert", HTTPS, fault.OfferOldCiphers, bigip.Config{}, TLS, bigip.NoSharedCiphers.Text, false},
		{"TLS 1.1 is refused with an alert", HTTP2, fault.OfferTLS11, bigip.Config{}, TLS, bigip.NoSharedCiphers.Text, false},
		{"silence is reset when the flow is idle", HTTP, fault.Dawdle, bigip.Config{Clientside: idle}, Reset, bigip.FlowExpired.Text, false},
		{"silence is reset when the handshake takes too long", HTTPS, fault.Dawdle,
			bigip.Config{ClientSSL: bigip.ClientSSL{HandshakeTimeout: 200 * time.Millisecond}}, Reset, bigip.SSLHandshakeExpired.Text, false},
		{"another port is closed", HTTP, fault.ConnectElsewhere, bigip.Config{}, Refused, none, false},
		{"another port is closed to TLS too", HTTP2, fault.ConnectElsewhere, bigip.Config{}, Refused, none, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.protocol.Secure() {
				row.f5.VirtualServer.Profiles = http2Profiles
			}
			host, b, end := behindF5(t, row.f5)
			m := &mood{fault: fault.Fault{Name: "x", Do: row.do, After: 600 * time.Millisecond, Port: 8166}, strikes: func(o int) bool { return o%3 == 1 }}
			b.Protocol, b.Requests, b.Concurrency, b.Moods = row.protocol, 6, 6, []Mood{m}
			b.Limits = Limits{32768, 64}
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			flows, resets := end()
			for _, r := range records {
				want := OK
				if m.Strikes(r.Ordinal, 0) {
					want = row.outcome
				}
				if r.Outcome != want {
					t.Errorf("the record is %+v, want %s", r, want)
				}
			}
			slices.SortFunc(m.notes, func(a, b note) int { return a.ordinal - b.ordinal })
			server := b.Server
			if row.do == fault.ConnectElsewhere {
				server = netip.AddrPortFrom(server.Addr(), 8166)
			}
			var own []netip.AddrPort
			for i, o := range []int{1, 4} {
				own = append(own, records[o].Local)
				if len(m.notes) != 2 || m.notes[i] != (note{netip.AddrPortFrom(b.Local, Port(o)), server, o}) {
					t.Errorf("the ledger holds %+v", m.notes)
				}
			}
			var met []netip.AddrPort
			for _, r := range resets {
				if r.Cause.Text != row.cause {
					t.Errorf("the f5 reset %+v", r)
				}
				if r.Peer == row.peer {
					met = append(met, r.Client)
				}
			}
			slices.SortFunc(met, netip.AddrPort.Compare)
			if row.cause != none && !slices.Equal(slices.Compact(met), own) {
				t.Errorf("the f5 reset what belongs to %v, want %v; its flows are %d", met, own, len(flows))
			}
		})
	}
}
