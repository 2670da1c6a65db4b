package f5trailer

import (
	"encoding/binary"
	"fmt"
)

// RSTCause says why the box made a RST, and where in its source code. The zero
// value is an empty text.
type RSTCause struct {
	// Version of the record. Only 0 is known: with any other, decoding leaves the
	// rest zero and encoding fails (f5ethtrailer.rstcausever).
	Version uint8
	// Peer: the cause arose on the other flow of the pair (f5ethtrailer.rstcausepeer).
	Peer bool
	// Value identifies a source file within one TMM build; 48 bits (f5ethtrailer.rstcauseval).
	Value uint64
	// Line is the line in that file (f5ethtrailer.rstcauseline).
	Line uint16
	// Text is the cause, for example "TCP retransmit timeout" (f5ethtrailer.rstcausetxt).
	// There are about a thousand, some with numbers in them: compare by prefix.
	Text string
}

// rstHeaderLen is what precedes the text: version and peer bit 1, value 6, line 2.
const rstHeaderLen = 9

// String spells the cause as the box logs it (log message 01230140):
// "[0x287fa34:1234] {peer} TCP retransmit timeout".
func (c RSTCause) String() string {
	if c.Version != 0 {
		return fmt.Sprintf("rst cause record of unknown version %d", c.Version)
	}
	peer := ""
	if c.Peer {
		peer = "{peer} "
	}
	return fmt.Sprintf("[0x%x:%d] %s%s", c.Value, c.Line, peer, c.Text)
}

func (c *RSTCause) wireLen() int { return rstHeaderLen + len(c.Text) }

func (c *RSTCause) check(format Format, maxText int) error {
	switch {
	case c.Version != 0:
		return &ValueError{format, "rst cause version", uint64(c.Version), "only version 0 is known"}
	case c.Value >= 1<<48:
		return &ValueError{format, "rst cause value", c.Value, "exceeds 48 bits"}
	case len(c.Text) > maxText:
		return &TooLongError{format, "rst cause text", len(c.Text), maxText}
	}
	return nil
}

func (c *RSTCause) appendTo(out []byte) []byte {
	var peer byte
	if c.Peer {
		peer = 1
	}
	out = append(out, peer)
	out = binary.BigEndian.AppendUint16(out, uint16(c.Value>>32))
	out = binary.BigEndian.AppendUint32(out, uint32(c.Value))
	out = binary.BigEndian.AppendUint16(out, c.Line)
	return append(out, c.Text...)
}

func (c *RSTCause) decode(b []byte, old *texts) (why string) {
	if c.Version = b[0] >> 1; c.Version != 0 {
		return ""
	}
	if len(b) < rstHeaderLen {
		return "rst cause shorter than 9 bytes"
	}
	c.Peer = b[0]&1 != 0
	c.Value = uint64(binary.BigEndian.Uint16(b[1:]))<<32 | uint64(binary.BigEndian.Uint32(b[3:]))
	c.Line = binary.BigEndian.Uint16(b[7:])
	c.Text = keep(old.cause, b[rstHeaderLen:])
	return ""
}
