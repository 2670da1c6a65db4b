package client

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

func TestWhatTheClientDoesMeetsTheF5AsItShould(t *testing.T) {
	t.Parallel()
	idle, shut := bigip.Fast, bigip.Fast
	idle.IdleTimeout, shut.ZeroWindowTimeout = time.Second, 300*time.Millisecond
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
		{"patience is enough", HTTP, fault.GiveUp, bigip.Config{}, OK, none, false},
		{"patience is enough, over TLS", HTTPS, fault.GiveUp, bigip.Config{}, OK, none, false},
		{"plain HTTP is no TLS", HTTPS, fault.SpeakPlain, bigip.Config{}, Reset, bigip.BadSSLRecord.Text, false},
		{"plain HTTP is no TLS, nor HTTP/2", HTTP2, fault.SpeakPlain, bigip.Config{}, Reset, bigip.BadSSLRecord.Text, false},
		{"old ciphers are refused with an alert", HTTPS, fault.OfferOldCiphers, bigip.Config{}, TLS, bigip.NoSharedCiphers.Text, false},
		{"TLS 1.1 is refused with an alert", HTTP2, fault.OfferTLS11, bigip.Config{}, TLS, bigip.NoSharedCiphers.Text, false},
		{"a certificate that nobody vouches for is refused with an alert", HTTPS, fault.DistrustCertificate, bigip.Config{}, TLS, bigip.SSLAlert.Text, false},
		{"a certificate that nobody vouches for is refused with an alert, in TLS 1.2", HTTPS, fault.DistrustCertificate,
			bigip.Config{ClientSSL: bigip.ClientSSL{MaxVersion: bigip.TLS12}}, TLS, bigip.SSLAlert.Text, false},
		{"a certificate that nobody vouches for is refused with an alert, before HTTP/2", HTTP2, fault.DistrustCertificate, bigip.Config{}, TLS, bigip.SSLAlert.Text, false},
		{"silence is reset when the flow is idle", HTTP, fault.Dawdle, bigip.Config{Clientside: idle}, Reset, bigip.FlowExpired.Text, false},
		{"silence is reset when the handshake takes too long", HTTPS, fault.Dawdle,
			bigip.Config{ClientSSL: bigip.ClientSSL{HandshakeTimeout: time.Second}}, Reset, bigip.SSLHandshakeExpired.Text, false},
		{"another port is closed", HTTP, fault.ConnectElsewhere, bigip.Config{}, Refused, none, false},
		{"another port is closed to TLS too", HTTP2, fault.ConnectElsewhere, bigip.Config{}, Refused, none, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.protocol.Secure() {
				row.f5.VirtualServer.Profiles = http2Profiles
			}
			host, b, end := behindF5(t, row.f5)
			f := fault.Fault{Name: "deed", At: topology.Client, Do: row.do, Per: fault.PerConnection, Probability: 0.4}
			switch row.do {
			case fault.Pause:
				f.After = 2 * time.Second
			case fault.GiveUp:
				f.After = patience
			case fault.ConnectElsewhere:
				f.Port = 8166
			}
			m := fault.NewMood(f, 7)
			b.Protocol, b.Requests, b.Concurrency, b.Moods, b.Limits = row.protocol, 8, 8, []*fault.Mood{m}, limits(&row.f5)
			records, err := Run(t.Context(), host, b)
			if err != nil {
				t.Fatal(err)
			}
			server := b.Server
			if f.Port != 0 {
				server = netip.AddrPortFrom(server.Addr(), f.Port)
			}
			var struck []netip.AddrPort
			planned := map[note]bool{}
			for _, r := range records {
				want := OK
				if m.Strikes(r.Ordinal, 0) {
					want = row.outcome
					own := netip.AddrPortFrom(b.Local, Port(r.Ordinal))
					struck = append(struck, own)
					planned[note{own, server, r.Ordinal}] = true
				}
				if r.Outcome != want {
					t.Errorf("the record is %+v, want %s", r, want)
				}
			}
			if len(struck) == 0 || len(struck) == len(records) {
				t.Fatalf("%d of %d requests were struck", len(struck), len(records))
			}
			noted := map[note]bool{}
			for _, e := range m.Report().Entries {
				noted[note{e.Source, e.Destination, e.Ordinal}] = true
			}
			if !maps.Equal(noted, planned) || len(m.Report().Entries) != len(planned) {
				t.Errorf("the ledger holds %v, planned are %v", noted, planned)
			}
			var met []netip.AddrPort
			_, resets := end()
			for _, r := range resets {
				if r.Cause.Text != row.cause {
					t.Errorf("the f5 reset %+v", r)
				}
				if r.Peer == row.peer {
					met = append(met, r.Client)
				}
			}
			slices.SortFunc(met, netip.AddrPort.Compare)
			if row.cause != none && !slices.Equal(slices.Compact(met), struck) {
				t.Errorf("the f5 reset what belongs to %v, want %v", met, struck)
			}
		})
	}
}

// note is a line of the client's ledger.
type note struct {
	source, destination netip.AddrPort
	ordinal             int
}

func limits(f5 *bigip.Config) (l Limits) {
	l.HeaderSize, l.HeaderCount = f5.HTTP.HeaderLimits()
	return l
}
