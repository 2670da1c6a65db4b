package f5trailer

import (
	"encoding/binary"
	"fmt"
)

// TLSSecrets are what the TLS provider tells of one TLS connection (tcpdump --f5
// ssl, TMOS 15 and later): with them it can be read. The zero value knows nothing.
// It prints as what it is, not what it holds.
type TLSSecrets struct {
	ClientRandom, ServerRandom [32]byte // of the two hellos; they identify the connection

	// MasterSecret is that of TLS 1.2 and before; zero if unknown (RFC 5246 §8.1).
	MasterSecret [48]byte

	// The traffic secrets of TLS 1.3, RFC 8446 §7.1: 32 bytes with SHA-256, 48 with
	// SHA-384, all of one length; nil if unknown.
	ClientEarly, ClientHandshake, ServerHandshake, ClientTraffic, ServerTraffic []byte
}

// String hides the secrets.
func (TLSSecrets) String() string { return "TLS secrets" }

// GoString hides the secrets.
func (TLSSecrets) GoString() string { return "f5trailer.TLSSecrets{…}" }

// Types of the TLS provider whose layout is known. 1 and 3 are called "extended".
const (
	typeTLS12 = 0
	typeTLS13 = 2
)

const (
	tlsRandomLen   = 32
	masterLen      = 48
	tlsSlotLen     = 64 // of a TLS 1.3 secret, zeros behind it
	tls12Len       = masterLen + 2*tlsRandomLen
	tls13Len       = 1 + 4*tlsSlotLen + 2*tlsRandomLen // without early secret
	tls13EarlyLen  = tls13Len + tlsSlotLen
	tls13Version   = 0 // no early secret
	tls13WithEarly = 1 // of the layout: one secret more, before the others
)

// TLV returns the record that carries the secrets: type 0 with a master secret, else
// type 2, in version 1 if there is an early secret. A [*ValueError] says what does
// not fit.
func (s *TLSSecrets) TLV() (TLV, error) {
	if s.MasterSecret != [masterLen]byte{} {
		v := TLV{Provider: providerTLS, Type: typeTLS12, Data: make([]byte, 0, tls12Len)}
		v.Data = append(v.Data, s.MasterSecret[:]...)
		v.Data = s.appendRandoms(v.Data)
		return v, nil
	}
	slots, version := s.slots()[1:], uint16(tls13Version)
	if len(s.ClientEarly) > 0 {
		slots, version = s.slots(), tls13WithEarly
	}
	size := 0
	for _, slot := range slots {
		n := len(*slot)
		if n > tlsSlotLen || n > 0 && size > 0 && n != size {
			return TLV{}, &ValueError{DPT, "tls secret length", uint64(n), fmt.Sprintf("all have one length, up to %d", tlsSlotLen)}
		}
		size = max(size, n)
	}
	v := TLV{Provider: providerTLS, Type: typeTLS13, Version: version, Data: make([]byte, 1, tls13EarlyLen)}
	v.Data[0] = byte(size)
	for _, slot := range slots {
		v.Data = append(append(v.Data, *slot...), make([]byte, tlsSlotLen-len(*slot))...)
	}
	v.Data = s.appendRandoms(v.Data)
	return v, nil
}

// slots are the TLS 1.3 secrets in the order of the record.
func (s *TLSSecrets) slots() []*[]byte {
	return []*[]byte{&s.ClientEarly, &s.ClientHandshake, &s.ServerHandshake, &s.ClientTraffic, &s.ServerTraffic}
}

func (s *TLSSecrets) appendRandoms(b []byte) []byte {
	return append(append(b, s.ClientRandom[:]...), s.ServerRandom[:]...)
}

// TLSSecrets decodes a record of the TLS provider; the secrets are copies. ok is
// false for any other record, and for one whose layout is not known.
func (v TLV) TLSSecrets() (s TLSSecrets, ok bool) {
	if v.Provider != providerTLS {
		return s, false
	}
	b := v.Data
	switch {
	case v.Type == typeTLS12 && v.Version == 0 && len(b) == tls12Len:
		copy(s.MasterSecret[:], b)
		b = b[masterLen:]
	case v.Type == typeTLS13 && v.Version <= tls13WithEarly && (len(b) == tls13EarlyLen || len(b) == tls13Len && v.Version == tls13Version):
		size := int(b[0])
		if size > tlsSlotLen {
			return s, false
		}
		slots := s.slots()
		switch {
		case len(b) == tls13Len:
			slots = slots[1:]
		case v.Version == tls13Version: // Wireshark skips the first slot of this variant
			slots[0] = new([]byte)
		}
		b = b[1:]
		for _, slot := range slots {
			if secret := b[:size]; !zero(secret) {
				*slot = append([]byte(nil), secret...)
			}
			b = b[tlsSlotLen:]
		}
	default:
		return s, false
	}
	copy(s.ClientRandom[:], b)
	copy(s.ServerRandom[:], b[tlsRandomLen:])
	return s, true
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// TLSOfFrame returns the TLS secrets in the trailer of an Ethernet frame; nil if
// there are none, for which it allocates nothing. wireLength is as for [Find].
func TLSOfFrame(frame []byte, wireLength int) (out []TLSSecrets) {
	offset, format, ok := Find(frame, wireLength)
	if !ok || format != DPT {
		return nil
	}
	rest, _ := dptTLVs(frame[offset:])
	for len(rest) > 0 {
		v, next, why := nextTLV(rest)
		if why != "" {
			return out
		}
		rest = next
		if v.provider == providerTLS {
			if s, ok := (TLV{v.provider, v.typ, v.version, v.body}).TLSSecrets(); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// appendTLS appends records of the TLS provider as they are.
func appendTLS(out []byte, records []TLV) ([]byte, error) {
	for _, v := range records {
		n := tlvHeaderLen + len(v.Data)
		switch {
		case v.Provider != providerTLS:
			return nil, &ValueError{DPT, "tls provider", uint64(v.Provider), fmt.Sprintf("want %d", providerTLS)}
		case n > maxTLSLen:
			return nil, &TooLongError{DPT, "tls record", len(v.Data), maxTLSLen - tlvHeaderLen}
		}
		out = binary.BigEndian.AppendUint16(out, v.Provider)
		out = binary.BigEndian.AppendUint16(out, v.Type)
		out = binary.BigEndian.AppendUint16(out, uint16(n))
		out = binary.BigEndian.AppendUint16(out, v.Version)
		out = append(out, v.Data...)
	}
	return out, nil
}

// maxTLSLen bounds one record of the TLS provider, and maxTLSRecords their number, so
// that the trailer's length fits in its 16 bits; a real box writes one of 401 bytes.
const (
	maxTLSLen     = 4096
	maxTLSRecords = 8
)
