package verify

import "testing"

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
