package verify

import (
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
)

func TestWhereACauseCanBe(t *testing.T) {
	for _, row := range []struct {
		name, hop string
		between   []string
		cause     analyzer.Cause
		refused   bool
	}{
		{"a firewall holds a session", "firewall", []string{"firewall/feth11", "firewall/feth10"}, analyzer.TupleReused, false},
		{"one at which nobody captured is in the link", "link:f5-server1", []string{"f5/0.0", "server1/eth0"}, analyzer.TupleReused, false},
		{"a link has no application", "link:f5-server1", []string{"f5/0.0", "server1/eth0"}, analyzer.AppReset, true},
		{"what lies between two captures that nobody named may be a firewall", "link:p3-p4", []string{"p3", "p4"}, analyzer.TupleReused, false},
		{"and is no server", "link:p3-p4", []string{"p3", "p4"}, analyzer.AppSilent, true},
	} {
		tr := &trial{c: &checker{}, v: &analyzer.Verdict{Hop: row.hop, Between: row.between, Cause: row.cause}}
		if why := tr.cause(); strings.Contains(why, "cannot be at") != row.refused {
			t.Errorf("%s: %q", row.name, why)
		}
	}
}

func TestWhatMayBeAnAlertUnderEncryption(t *testing.T) {
	const (
		changeCipherSpec = "\x14\x03\x03\x00\x01\x01"
		sealed           = "nineteen bytes long" // 2, the content type, and the tag
	)
	for _, row := range []struct {
		name, payload string
		want          bool
	}{
		{"a record as long as an alert", "\x17\x03\x03\x00\x13" + sealed, true},
		{"one behind a change_cipher_spec, as a client sends it that refuses the certificate", changeCipherSpec + "\x17\x03\x03\x00\x13" + sealed, true},
		{"a longer record behind it, as the client's Finished is", changeCipherSpec + "\x17\x03\x03\x00\x35" + sealed, false},
		{"a change_cipher_spec alone", changeCipherSpec, false},
		{"an alert in the clear", "\x15\x03\x03\x00\x02\x02\x2a", false},
	} {
		x := &Frame{ip: make([]ipHeader, 1), tcp: []tcpHeader{{flags: flagACK, length: len(row.payload), extent: whole}}, payload: []byte(row.payload)}
		if got := mayBeAlert(x); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
