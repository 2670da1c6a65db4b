package f5trailer

import (
	"bytes"
	"encoding/binary"
)

// A legacy block is type 1, length 1 (total block size minus 2), version 1, body.
const (
	legacyHeaderLen = 3
	// minLegacyBlock and maxLegacyBlock bound a block's total size in Wireshark's
	// sanity test; a block outside is not shown.
	minLegacyBlock = 7
	maxLegacyBlock = 140
)

func (t *Trailer) appendLegacy(out []byte) ([]byte, error) {
	var err error
	if t.HasLow {
		if out, err = t.Low.appendLegacy(out); err != nil {
			return nil, err
		}
	}
	if t.HasMedium {
		const maxText = maxLegacyBlock - legacyHeaderLen - mediumLen - rstHeaderLen // 96
		if err = t.Medium.check(Legacy, legacyMediumVersion, maxText); err != nil {
			return nil, err
		}
		total := legacyHeaderLen + mediumLen + t.Medium.rstLen()
		out = t.Medium.appendBody(append(out, typeMedium, byte(total-2), legacyMediumVersion))
	}
	if t.HasHigh {
		if err = t.High.check(Legacy, 0); err != nil {
			return nil, err
		}
		out = t.High.appendBody(append(out, typeHigh, legacyHeaderLen+highLen-2, 0))
	}
	return out, nil
}

// appendLegacy writes low version 1.
func (l *Low) appendLegacy(out []byte) ([]byte, error) {
	const maxName = maxLegacyBlock - 7
	n := len(l.VirtualServer)
	switch {
	case l.Version > 1:
		return out, &ValueError{Legacy, "low version", uint64(l.Version), "want 1, or 0 for the newest"}
	case n > maxName:
		return out, &TooLongError{Legacy, "virtual server", n, maxName}
	}
	var ingress byte
	if l.Ingress {
		ingress = 1
	}
	out = append(out, typeLow, byte(7+n-2), 1, ingress, l.Slot, l.TMM, byte(n))
	return append(out, l.VirtualServer...), nil
}

// layout is how the bytes of a legacy block are laid out.
type layout uint8

const (
	layoutUnknown  layout = iota
	layoutBad             // a known version whose length contradicts it
	layoutLow94           // low version 0, 35 bytes, TMOS 9.4: flow ids, fixed name
	layoutLow10           // low version 0, 22 bytes, TMOS 10 and 11.0: fixed name
	layoutLow1            // low version 1: counted name
	layoutMedium94        // medium version 0, 8 bytes, TMOS 9.4: no ids
	layoutMedium10        // medium version 0, 21 bytes, TMOS 10: ids of 32 bits
	layoutMedium11        // medium version 0, 29 bytes, TMOS 11
	layoutMedium1         // version 1: and RST cause
	layoutMedium2         // version 2: and priority
	layoutMedium3         // version 3: and cfflags2
	layoutHigh0           // high version 0
)

// layoutOf classifies a block by type, version and total size; b is at least
// minLegacyBlock long and holds the block to its end.
func layoutOf(b []byte) layout {
	total := int(b[1]) + 2
	if total > len(b) {
		return layoutBad
	}
	counted := func(min int, l layout) layout {
		if total < min || total != min+int(b[min-1]) {
			return layoutBad
		}
		return l
	}
	switch uint16(b[0])<<8 | uint16(b[2]) {
	case typeLow<<8 | 0:
		switch total {
		case 22:
			return layoutLow10
		case 35:
			return layoutLow94
		}
	case typeLow<<8 | 1:
		return counted(7, layoutLow1)
	case typeMedium<<8 | 0:
		switch total {
		case 8:
			return layoutMedium94
		case 21:
			return layoutMedium10
		case 29:
			return layoutMedium11
		}
	case typeMedium<<8 | 1:
		return counted(30, layoutMedium1)
	case typeMedium<<8 | 2:
		return counted(31, layoutMedium2)
	case typeMedium<<8 | 3:
		return counted(35, layoutMedium3)
	case typeHigh<<8 | 0:
		if total != legacyHeaderLen+highLen {
			return layoutBad
		}
		return layoutHigh0
	}
	return layoutUnknown
}

// isLegacy is Wireshark's sanity test of a trailer's first block — type 1 to 3,
// total size 7 to 140 and within the frame — made stricter: type, version and size
// must also agree with a layout that is known.
func isLegacy(b []byte) bool {
	if len(b) < minLegacyBlock || int(b[1])+2 > maxLegacyBlock {
		return false
	}
	return layoutOf(b) > layoutBad
}

func (t *Trailer) decodeLegacy(b []byte, old *texts) error {
	if len(b) < minLegacyBlock {
		return &MalformedError{Legacy, 0, "header", "shorter than 7 bytes"}
	}
	d := legacyDecoder{t: t, old: old}
	// Fewer bytes than the smallest block are an FCS behind the trailer.
	for rest := b; len(rest) >= minLegacyBlock; {
		offset := len(b) - len(rest)
		kind := layoutOf(rest)
		total := int(rest[1]) + 2
		name := blockName(uint16(rest[0]))
		if kind == layoutBad || total < legacyHeaderLen {
			return &MalformedError{Legacy, offset, name, "length contradicts type and version or exceeds the trailer"}
		}
		if kind == layoutUnknown && offset == 0 && name == "block" {
			return &MalformedError{Legacy, offset, name, "neither a legacy block nor the DPT magic"}
		}
		if why := d.block(kind, rest[:total]); why != "" {
			return &MalformedError{Legacy, offset, name, why}
		}
		rest = rest[total:]
	}
	return nil
}

// legacyDecoder remembers which blocks it has seen: TMOS 9.4 spreads what is now
// the medium block over low and medium.
type legacyDecoder struct {
	t                    *Trailer
	old                  *texts
	low, medium, ids, hi bool
}

func (d *legacyDecoder) block(kind layout, b []byte) (why string) {
	switch {
	case kind >= layoutLow94 && kind <= layoutLow1 && !d.low:
		d.low, d.t.HasLow = true, true
		d.decodeLow(kind, b)
	case kind >= layoutMedium94 && kind <= layoutMedium3 && !d.medium:
		d.medium, d.t.HasMedium = true, true
		return d.decodeMedium(kind, b)
	case kind == layoutHigh0 && !d.hi:
		d.hi, d.t.HasHigh = true, true
		return d.t.High.decodeBody(b[legacyHeaderLen:])
	default:
		d.t.Unknown = append(d.t.Unknown, TLV{
			Type: uint16(b[0]), Version: uint16(b[2]), Data: bytes.Clone(b[legacyHeaderLen:]),
		})
	}
	return ""
}

func (d *legacyDecoder) decodeLow(kind layout, b []byte) {
	l := &d.t.Low
	l.Ingress, l.Slot, l.TMM, l.Version = b[3] != 0, b[4], b[5], b[2]
	var name []byte
	switch kind {
	case layoutLow1:
		name = b[7:]
	case layoutLow10:
		name, _, _ = bytes.Cut(b[6:], []byte{0})
	case layoutLow94:
		name, _, _ = bytes.Cut(b[19:], []byte{0})
		if !d.ids {
			d.ids, d.t.HasMedium = true, true
			d.decodeIDs94(b[6:])
		}
	}
	l.VirtualServer = keep(d.old.virtualServer, name)
}

// decodeIDs94 reads what TMOS 9.4 and 10 share: ids of 32 bits, flags, flow type.
func (d *legacyDecoder) decodeIDs94(b []byte) {
	m := &d.t.Medium
	m.FlowID = uint64(binary.BigEndian.Uint32(b))
	m.PeerID = uint64(binary.BigEndian.Uint32(b[4:]))
	m.CFFlags = binary.BigEndian.Uint32(b[8:])
	m.FlowType = b[12]
}

func (d *legacyDecoder) decodeMedium(kind layout, b []byte) (why string) {
	m := &d.t.Medium
	m.Version = b[2]
	body := b[legacyHeaderLen:]
	d.ids = d.ids || kind != layoutMedium94
	switch kind {
	case layoutMedium94:
		m.HAUnit, m.Reserved = body[0], binary.BigEndian.Uint32(body[1:])
		return ""
	case layoutMedium10:
		d.decodeIDs94(body)
		m.HAUnit, m.Reserved = body[13], binary.BigEndian.Uint32(body[14:])
		return ""
	case layoutMedium3:
		if why = m.decodeBody(body, d.old); why != "" {
			*m, d.t.HasMedium = Medium{}, false
		}
		return why
	}
	m.FlowID, m.PeerID = binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:])
	m.CFFlags = binary.BigEndian.Uint32(body[16:])
	m.FlowType, m.HAUnit, m.Reserved = body[20], body[21], binary.BigEndian.Uint32(body[22:])
	switch kind {
	case layoutMedium1:
		why = m.decodeCause(body[26:], d.old)
	case layoutMedium2:
		m.Priority = body[26]
		why = m.decodeCause(body[27:], d.old)
	}
	if why != "" {
		*m, d.t.HasMedium = Medium{}, false
	}
	return why
}
