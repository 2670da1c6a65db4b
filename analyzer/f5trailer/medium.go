package f5trailer

import "encoding/binary"

// Medium is the medium block: which flow, and why it was reset. The zero value
// is a packet without a flow, such as a client's SYN.
type Medium struct {
	// FlowID identifies the packet's flow within slot and TMM, at this moment; 0:
	// no flow yet. A client's SYN never has one (f5ethtrailer.flowid).
	FlowID uint64
	// PeerID is the FlowID of the flow on the proxy's other side; 0: none yet. It
	// changes when server connections are pooled (f5ethtrailer.peerid).
	PeerID uint64
	// CFFlags2 and CFFlags are the upper and lower half of the connection flow's
	// flags, undocumented. TMOS 13.1: 0x24 during the handshake, 0x8024 after it
	// (f5ethtrailer.cfflags2, f5ethtrailer.cfflags).
	CFFlags2, CFFlags uint32
	// FlowType is undocumented: 0x40 an ordinary flow, 0x46 one that answers a closed
	// port (f5ethtrailer.flowtype).
	FlowType uint8
	// HAUnit is the traffic group's unit; non-zero on egress only (f5ethtrailer.haunit).
	HAUnit uint8
	// Reserved was ingress slot and port once; 0 on every known box (f5ethtrailer.reserved).
	Reserved uint32
	// Priority is undocumented; 3 on ordinary egress packets (f5ethtrailer.priority).
	Priority uint8
	// RSTCause is why the box made this RST. Valid if HasRSTCause.
	RSTCause RSTCause
	// HasRSTCause: the packet is a RST made by this box; a RST it only received has none.
	HasRSTCause bool
	// Version is the layout. Encoding: 0 is the newest of the format, DPT 4 or
	// legacy 3; no other is written. Decoding tells what was found; the legacy
	// version 0 is encoded as 3 again.
	Version uint8
}

// dptMediumVersion and legacyMediumVersion are the layouts the encoder writes.
const (
	dptMediumVersion    = 4
	legacyMediumVersion = 3
)

// mediumLen is the length of the part that DPT version 4 and legacy version 3
// share, RST cause length byte included.
const mediumLen = 32

// appendBody appends the part that DPT version 4 and legacy version 3 share.
func (m *Medium) appendBody(out []byte) []byte {
	out = binary.BigEndian.AppendUint64(out, m.FlowID)
	out = binary.BigEndian.AppendUint64(out, m.PeerID)
	out = binary.BigEndian.AppendUint32(out, m.CFFlags2)
	out = binary.BigEndian.AppendUint32(out, m.CFFlags)
	out = append(out, m.FlowType, m.HAUnit)
	out = binary.BigEndian.AppendUint32(out, m.Reserved)
	if !m.HasRSTCause {
		return append(out, m.Priority, 0)
	}
	return m.RSTCause.appendTo(append(out, m.Priority, byte(m.RSTCause.wireLen())))
}

// check validates what appendBody would write; maxText is the format's limit.
func (m *Medium) check(format Format, version uint8, maxText int) error {
	if m.Version != 0 && m.Version != version {
		return &ValueError{format, "medium version", uint64(m.Version), "only the newest layout is written; use 0"}
	}
	if !m.HasRSTCause {
		return nil
	}
	return m.RSTCause.check(format, maxText)
}

func (m *Medium) rstLen() int {
	if !m.HasRSTCause {
		return 0
	}
	return m.RSTCause.wireLen()
}

func (m *Medium) appendDPT(out []byte) ([]byte, error) {
	if err := m.check(DPT, dptMediumVersion, 255-rstHeaderLen); err != nil {
		return out, err
	}
	out = appendTLVHeader(out, typeMedium, 8+mediumLen+m.rstLen(), dptMediumVersion)
	return m.appendBody(out), nil
}

// decodeBody decodes what DPT version 4 and legacy version 3 share.
func (m *Medium) decodeBody(b []byte, old *texts) (why string) {
	if len(b) < mediumLen {
		return "shorter than its fixed part"
	}
	m.FlowID = binary.BigEndian.Uint64(b)
	m.PeerID = binary.BigEndian.Uint64(b[8:])
	m.CFFlags2 = binary.BigEndian.Uint32(b[16:])
	m.CFFlags = binary.BigEndian.Uint32(b[20:])
	m.FlowType, m.HAUnit = b[24], b[25]
	m.Reserved = binary.BigEndian.Uint32(b[26:])
	m.Priority = b[30]
	return m.decodeCause(b[31:], old)
}

// decodeCause decodes a length byte and the RST cause record behind it.
func (m *Medium) decodeCause(b []byte, old *texts) (why string) {
	n := int(b[0])
	switch {
	case n == 0:
		return ""
	case 1+n > len(b):
		return "rst cause exceeds the block"
	}
	m.HasRSTCause = true
	return m.RSTCause.decode(b[1:1+n], old)
}
