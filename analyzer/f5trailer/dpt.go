package f5trailer

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The DPT outer header: magic 4 (f5ethtrailer.trailer_magic), total length 2, its
// own 8 bytes included (trailer_length), version 2 (trailer_version).
const (
	magic        = 0xf5deb0f5
	dptHeaderLen = 8
	dptVersion   = 1
)

// Providers of TLVs (f5ethtrailer.provider). 5 is seen on hardware, behind the
// FCS, with 12 opaque bytes (Wireshark issue 17171).
const (
	providerNoise = 1
	providerTLS   = 4
)

// tlvHeaderLen is provider 2, type 2, length 2 (these bytes included), version 2.
const tlvHeaderLen = 8

func hasMagic(b []byte) bool { return len(b) >= 4 && binary.BigEndian.Uint32(b) == magic }

func appendTLVHeader(out []byte, typ uint16, length int, version uint16) []byte {
	out = binary.BigEndian.AppendUint16(out, providerNoise)
	out = binary.BigEndian.AppendUint16(out, typ)
	out = binary.BigEndian.AppendUint16(out, uint16(length))
	return binary.BigEndian.AppendUint16(out, version)
}

func (t *Trailer) appendDPT(dst []byte) ([]byte, error) {
	out := binary.BigEndian.AppendUint32(dst, magic)
	out = append(out, 0, 0, 0, dptVersion)
	var err error
	if t.HasLow {
		if out, err = t.Low.appendDPT(out); err != nil {
			return nil, err
		}
	}
	if t.HasMedium {
		if out, err = t.Medium.appendDPT(out); err != nil {
			return nil, err
		}
	}
	if t.HasHigh {
		if out, err = t.High.appendDPT(out); err != nil {
			return nil, err
		}
	}
	if len(t.TLS) > maxTLSRecords {
		return nil, &ValueError{DPT, "number of tls records", uint64(len(t.TLS)), fmt.Sprintf("at most %d", maxTLSRecords)}
	}
	if out, err = appendTLS(out, t.TLS); err != nil {
		return nil, err
	}
	// At most 8+267+295+47 bytes, and 8 records of 4,096: 16 bits suffice.
	binary.BigEndian.PutUint16(out[len(dst)+4:], uint16(len(out)-len(dst)))
	return out, nil
}

// tlv is one record of a DPT trailer, not copied.
type tlv struct {
	provider, typ, version uint16
	body                   []byte
}

// noise reports whether the record is a noise block of a known layout.
func (v *tlv) noise() bool {
	if v.provider != providerNoise {
		return false
	}
	switch v.typ {
	case typeLow:
		return v.version >= 2 && v.version <= 4
	case typeMedium:
		return v.version == dptMediumVersion
	case typeHigh:
		return v.version == dptHighVersion
	}
	return false
}

// nextTLV reads the record at the start of b; next is what follows it.
func nextTLV(b []byte) (v tlv, next []byte, why string) {
	if len(b) < tlvHeaderLen {
		return v, nil, "shorter than a TLV header"
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case n < tlvHeaderLen:
		return v, nil, "TLV length less than its header"
	case n > len(b):
		return v, nil, "TLV exceeds the trailer"
	}
	v.provider = binary.BigEndian.Uint16(b)
	v.typ = binary.BigEndian.Uint16(b[2:])
	v.version = binary.BigEndian.Uint16(b[6:])
	v.body = b[tlvHeaderLen:n]
	return v, b[n:], ""
}

// dptTLVs checks the outer header and returns the TLVs behind it.
func dptTLVs(b []byte) (tlvs []byte, why string) {
	if len(b) < dptHeaderLen {
		return nil, "shorter than 8 bytes"
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case n < dptHeaderLen:
		return nil, "total length less than the header"
	case n > len(b):
		return nil, "total length exceeds the frame"
	case binary.BigEndian.Uint16(b[6:]) != dptVersion:
		return nil, "unknown header version"
	}
	return b[dptHeaderLen:n], ""
}

func (t *Trailer) decodeDPT(b []byte, old *texts) error {
	rest, why := dptTLVs(b)
	if why != "" {
		return &MalformedError{DPT, 0, "header", why}
	}
	end := dptHeaderLen + len(rest)
	for len(rest) > 0 {
		offset := end - len(rest)
		v, next, why := nextTLV(rest)
		if why != "" {
			return &MalformedError{DPT, offset, "block", why}
		}
		if why = t.decodeTLV(&v, old); why != "" {
			return &MalformedError{DPT, offset, blockName(v.typ), why}
		}
		rest = next
	}
	return nil
}

// decodeTLV decodes one record. A damaged block leaves its Has flag false.
func (t *Trailer) decodeTLV(v *tlv, old *texts) (why string) {
	switch {
	case v.provider == providerTLS:
		t.TLS = append(t.TLS, v.clone())
	case v.noise() && v.typ == typeLow && !t.HasLow:
		if why = t.Low.decodeDPT(v.body, v.version, old); why != "" {
			t.Low = Low{}
		}
		t.HasLow = why == ""
	case v.noise() && v.typ == typeMedium && !t.HasMedium:
		if why = t.Medium.decodeBody(v.body, old); why != "" {
			t.Medium = Medium{}
		} else {
			t.HasMedium, t.Medium.Version = true, dptMediumVersion
		}
	case v.noise() && v.typ == typeHigh && !t.HasHigh:
		if why = t.High.decodeBody(v.body); why == "" {
			t.HasHigh, t.High.Version = true, dptHighVersion
		}
	default:
		t.Unknown = append(t.Unknown, v.clone())
	}
	return why
}

func (v *tlv) clone() TLV {
	return TLV{Provider: v.provider, Type: v.typ, Version: v.version, Data: bytes.Clone(v.body)}
}
