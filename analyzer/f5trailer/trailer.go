package f5trailer

import "fmt"

// Format is the wire format of a trailer. The zero value is [DPT].
type Format uint8

const (
	// DPT is the format of TMOS 14 and later: an outer header that starts with
	// the magic f5deb0f5, then TLVs. Wireshark decodes it from release 3.0 on.
	DPT Format = iota
	// Legacy is the format of TMOS 9.4 to 13: blocks one behind the other, without
	// a header or an end mark.
	Legacy
)

// String returns "dpt" or "legacy".
func (f Format) String() string {
	switch f {
	case DPT:
		return "dpt"
	case Legacy:
		return "legacy"
	}
	return fmt.Sprintf("format(%d)", uint8(f))
}

// Block types; the same numbers in both formats (f5ethtrailer.type).
const (
	typeLow    = 1
	typeMedium = 2
	typeHigh   = 3
)

// Trailer is one decoded or to be encoded trailer. The zero value is a DPT
// trailer without any block. It may be used again for the next frame.
type Trailer struct {
	Format Format // wire format

	Low       Low    // tcpdump :n
	HasLow    bool   // the low block is present
	Medium    Medium // tcpdump :nn
	HasMedium bool   // the medium block is present (TMOS 9.4: or a low block that carries flow ids)
	High      High   // tcpdump :nnn
	HasHigh   bool   // the high block is present; all zero if there is no peer flow

	// TLS holds the records of the TLS provider (tcpdump --f5 ssl, TMOS 15 and
	// later), undecoded: see [TLV.TLSSecrets] and [TLSSecrets.TLV]. They contain
	// master secrets and traffic secrets: whoever has them can read the connection.
	// Do not log them. At most 8, of 4,088 bytes each, are encoded.
	TLS []TLV
	// Unknown holds, undecoded, every record of a provider, type or version this
	// package does not know, and a second block of a kind already seen. Decoded
	// only, never encoded.
	Unknown []TLV

	// OrigFCS is the Ethernet frame check sequence found between packet and DPT
	// trailer, as captured (f5ethtrailer.orig_fcs). Set by [DecodeFrame] only,
	// never encoded.
	OrigFCS    uint32
	HasOrigFCS bool // OrigFCS was found
}

// TLV is a record kept as it was. Data is a copy and belongs to the caller.
type TLV struct {
	Provider uint16 // DPT: 1 noise, 4 TLS, others undocumented; legacy: 0
	Type     uint16 // meaning depends on the provider
	Version  uint16 // of the layout of Data
	Data     []byte // the bytes behind the record's header
}

// AppendTo appends the encoded trailer to dst, which normally ends with the last
// byte of the packet: the box writes neither padding nor FCS in between. Blocks
// are written in the order low, medium, high, which Wireshark needs to show the
// peer's addresses, then the records of the TLS provider.
//
// Fields that the chosen format or version has no room for are left out: hardware
// action, physical port, trunk and TLS in [Legacy]. Unknown and OrigFCS are never
// written. Legacy limits a virtual server to 133 bytes and a cause text to 96,
// because Wireshark refuses blocks larger than 140; DPT to 255 and 246.
//
// On error dst is returned unchanged in length, with an [ErrEmpty],
// [*TooLongError] or [*ValueError]. AppendTo does not allocate if dst has room.
func (t *Trailer) AppendTo(dst []byte) ([]byte, error) {
	if !t.HasLow && !t.HasMedium && !t.HasHigh && (t.Format != DPT || len(t.TLS) == 0) {
		return dst, ErrEmpty
	}
	var out []byte
	var err error
	switch t.Format {
	case DPT:
		out, err = t.appendDPT(dst)
	case Legacy:
		out, err = t.appendLegacy(dst)
	default:
		err = &ValueError{Format: t.Format, Field: "format", Value: uint64(t.Format), Why: "want DPT or Legacy"}
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode decodes a trailer into t, which it resets first. The bytes start with
// the trailer's first byte, as found by [Find]; a DPT trailer ends where its
// header says, a legacy one where no further block fits, so a trailing FCS does
// no harm.
//
// Records of unknown provider, type or version are skipped by their length and
// kept in t.Unknown; blocks may come in any order. A [*MalformedError] says where
// the bytes contradict themselves; what was decoded before stays in t. Text that
// equals what t held before is not allocated again.
func Decode(trailer []byte, t *Trailer) error {
	old := texts{t.Low.VirtualServer, t.Low.PhysicalPort, t.Low.Trunk, t.Medium.RSTCause.Text}
	*t = Trailer{}
	if hasMagic(trailer) {
		return t.decodeDPT(trailer, &old)
	}
	t.Format = Legacy
	return t.decodeLegacy(trailer, &old)
}

// texts are the strings a reused Trailer held before. Frames of one virtual
// server follow each other, so most names need no new allocation.
type texts struct{ virtualServer, physicalPort, trunk, cause string }

// keep returns old if it spells b, else a new string.
func keep(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}

func blockName(typ uint16) string {
	switch typ {
	case typeLow:
		return "low"
	case typeMedium:
		return "medium"
	case typeHigh:
		return "high"
	}
	return "block"
}
