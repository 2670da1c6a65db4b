package f5trailer

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// pattern is n bytes that are not zero and differ from one seed to another.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = seed + byte(i%16)
	}
	return b
}

type tlsRow struct {
	name    string
	secrets TLSSecrets
	typ     uint16
	version uint16
	length  int // of the record, header included
}

func tlsRows() []tlsRow {
	random := func(s TLSSecrets) TLSSecrets {
		copy(s.ClientRandom[:], pattern(0x10, 32))
		copy(s.ServerRandom[:], pattern(0x20, 32))
		return s
	}
	return []tlsRow{
		{"TLS 1.2 has a master secret", random(TLSSecrets{MasterSecret: [48]byte(pattern(0x30, 48))}), 0, 0, 120},
		{"TLS 1.3 with SHA-256 has secrets of 32 bytes", random(TLSSecrets{ClientHandshake: pattern(0x40, 32), ServerHandshake: pattern(0x50, 32),
			ClientTraffic: pattern(0x60, 32), ServerTraffic: pattern(0x70, 32)}), 2, 0, 329},
		{"TLS 1.3 with SHA-384 has secrets of 48 bytes", random(TLSSecrets{ClientHandshake: pattern(0x40, 48), ServerHandshake: pattern(0x50, 48),
			ClientTraffic: pattern(0x60, 48), ServerTraffic: pattern(0x70, 48)}), 2, 0, 329},
		{"an early secret needs the second layout", random(TLSSecrets{ClientEarly: pattern(0x80, 32), ClientHandshake: pattern(0x40, 32),
			ServerHandshake: pattern(0x50, 32), ClientTraffic: pattern(0x60, 32), ServerTraffic: pattern(0x70, 32)}), 2, 1, 393},
		{"an unknown secret is zeros, and none when read", random(TLSSecrets{ClientTraffic: pattern(0x60, 32), ServerTraffic: pattern(0x70, 32)}), 2, 0, 329},
	}
}

func TestTLSSecretsSurviveTheTrailer(t *testing.T) {
	for _, row := range tlsRows() {
		t.Run(row.name, func(t *testing.T) {
			v, err := row.secrets.TLV()
			if err != nil {
				t.Fatal(err)
			}
			if v.Type != row.typ || v.Version != row.version || len(v.Data)+tlvHeaderLen != row.length {
				t.Errorf("type %d, version %d, %d bytes; want %d, %d, %d", v.Type, v.Version, len(v.Data)+tlvHeaderLen, row.typ, row.version, row.length)
			}
			tr := Trailer{HasLow: true, TLS: []TLV{v}}
			frame, err := tr.AppendTo(bytes.Clone(packet4))
			if err != nil {
				t.Fatal(err)
			}
			var got Trailer
			if _, ok, err := DecodeFrame(frame, len(frame), &got); !ok || err != nil || len(got.TLS) != 1 {
				t.Fatalf("%v, %v, %d records", ok, err, len(got.TLS))
			}
			s, ok := got.TLS[0].TLSSecrets()
			if !ok || !reflect.DeepEqual(s, row.secrets) {
				t.Errorf("%v; the secrets differ: %t", ok, !reflect.DeepEqual(s, row.secrets))
			}
			if of := TLSOfFrame(frame, len(frame)); len(of) != 1 || !reflect.DeepEqual(of[0], row.secrets) {
				t.Errorf("TLSOfFrame found %d, or others", len(of))
			}
		})
	}
}

// TestTsharkReadsTLSSecrets compares the key log that Wireshark makes of a trailer
// with the secrets put in.
func TestTsharkReadsTLSSecrets(t *testing.T) {
	rows := tlsRows()
	var frames []findRow
	for _, row := range rows {
		v, err := row.secrets.TLV()
		if err != nil {
			t.Fatal(err)
		}
		tr := Trailer{HasLow: true, TLS: []TLV{v}}
		frame, err := tr.AppendTo(bytes.Clone(packet4))
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, findRow{name: row.name, frame: frame})
	}
	fields := map[string]func(*TLSSecrets) []byte{
		"master_secret":        func(s *TLSSecrets) []byte { return s.MasterSecret[:] },
		"client_random":        func(s *TLSSecrets) []byte { return s.ClientRandom[:] },
		"server_random":        func(s *TLSSecrets) []byte { return s.ServerRandom[:] },
		"early_traffic_secret": func(s *TLSSecrets) []byte { return s.ClientEarly },
		"client_hs_secret":     func(s *TLSSecrets) []byte { return s.ClientHandshake },
		"server_hs_secret":     func(s *TLSSecrets) []byte { return s.ServerHandshake },
		"client_app_secret":    func(s *TLSSecrets) []byte { return s.ClientTraffic },
		"server_app_secret":    func(s *TLSSecrets) []byte { return s.ServerTraffic },
	}
	names := []string{"f5ethtrailer.tls.keylog"}
	for f := range fields {
		names = append(names, "f5ethtrailer.tls."+f)
	}
	for i, got := range tsharkValues(t, frames, names, "a") {
		s := &rows[i].secrets
		for f, of := range fields {
			want := of(s)
			if zero(want) {
				continue // Wireshark shows an unknown secret as zeros, or not at all
			}
			if text := strings.ReplaceAll(got["f5ethtrailer.tls."+f], ":", ""); text != hex.EncodeToString(want) {
				t.Errorf("%s: %s: tshark shows %q, want %x", rows[i].name, f, text, want)
			}
		}
		if log, want := got["f5ethtrailer.tls.keylog"], strings.Join(s.keyLog(), "|"); log != want && want != "" {
			t.Errorf("%s: tshark's key log is %q, want %q", rows[i].name, log, want)
		}
	}
}

// keyLog is what Wireshark makes of a record of whose secrets none is missing; nil
// for others.
func (s *TLSSecrets) keyLog() (lines []string) {
	for _, line := range []struct {
		label  string
		secret []byte
	}{
		{"CLIENT_RANDOM", s.MasterSecret[:]},
		{"CLIENT_EARLY_TRAFFIC_SECRET", s.ClientEarly},
		{"CLIENT_TRAFFIC_SECRET_0", s.ClientTraffic},
		{"SERVER_TRAFFIC_SECRET_0", s.ServerTraffic},
		{"CLIENT_HANDSHAKE_TRAFFIC_SECRET", s.ClientHandshake},
		{"SERVER_HANDSHAKE_TRAFFIC_SECRET", s.ServerHandshake},
	} {
		if !zero(line.secret) {
			lines = append(lines, fmt.Sprintf("%s %x %x", line.label, s.ClientRandom, line.secret))
		}
	}
	if zero(s.MasterSecret[:]) && len(lines) < 4 {
		return nil
	}
	return lines
}

func TestTLSSecretsDoNotShowThemselves(t *testing.T) {
	s := tlsRows()[3].secrets
	for _, text := range []string{fmt.Sprint(s), fmt.Sprint(&s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%s", s)} {
		if strings.Contains(text, "96") || strings.Contains(text, "60") { // 0x60 begins a secret
			t.Errorf("shows %s", text)
		}
	}
}

func TestTLSRecordsThatAreRefused(t *testing.T) {
	good, err := (&TLSSecrets{MasterSecret: [48]byte{1}}).TLV()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		v    TLV
	}{
		{"another provider", TLV{Provider: 1, Data: good.Data}},
		{"an extended record", TLV{Provider: providerTLS, Type: 1, Data: good.Data}},
		{"an unknown version", TLV{Provider: providerTLS, Version: 1, Data: good.Data}},
		{"one byte short", TLV{Provider: providerTLS, Data: good.Data[1:]}},
		{"secrets longer than their slots", TLV{Provider: providerTLS, Type: 2, Data: append([]byte{65}, make([]byte, 320)...)}},
		{"the second layout without its early slot", TLV{Provider: providerTLS, Type: 2, Version: 1, Data: append([]byte{32}, make([]byte, 320)...)}},
	} {
		if _, ok := row.v.TLSSecrets(); ok {
			t.Errorf("%s is taken for secrets", row.name)
		}
	}
	var value *ValueError
	if _, err := (&TLSSecrets{ClientTraffic: make([]byte, 65)}).TLV(); !errors.As(err, &value) {
		t.Errorf("a secret of 65 bytes: %v", err)
	}
	if _, err := (&TLSSecrets{ClientTraffic: make([]byte, 32), ServerTraffic: make([]byte, 48)}).TLV(); !errors.As(err, &value) {
		t.Errorf("secrets of two lengths: %v", err)
	}
	if _, err := (&Trailer{TLS: []TLV{{Provider: 1}}}).AppendTo(nil); !errors.As(err, &value) {
		t.Errorf("a record of another provider: %v", err)
	}
	if _, err := (&Trailer{TLS: make([]TLV, maxTLSRecords+1)}).AppendTo(nil); !errors.As(err, &value) {
		t.Errorf("too many records: %v", err)
	}
	var long *TooLongError
	if _, err := (&Trailer{TLS: []TLV{{Provider: providerTLS, Data: make([]byte, maxTLSLen)}}}).AppendTo(nil); !errors.As(err, &long) {
		t.Errorf("a long record: %v", err)
	}
	if _, err := (&Trailer{Format: Legacy, TLS: []TLV{good}}).AppendTo(nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("legacy has no room for TLS: %v", err)
	}
}

func FuzzTLSSecrets(f *testing.F) {
	for _, row := range tlsRows() {
		v, err := row.secrets.TLV()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v.Type, v.Version, v.Data)
	}
	f.Fuzz(func(t *testing.T, typ, version uint16, data []byte) {
		s, ok := TLV{Provider: providerTLS, Type: typ, Version: version, Data: data}.TLSSecrets()
		if !ok {
			return
		}
		v, err := s.TLV()
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if again, ok := v.TLSSecrets(); !ok || !reflect.DeepEqual(again, s) {
			t.Fatalf("%v; decoded, encoded and decoded it differs", ok)
		}
	})
}
