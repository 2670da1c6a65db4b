package analyzer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hopblame/hopblame/internal/tlstap"
)

// h2 follows the requests of an HTTP/2 connection, one a stream (RFC 9113). Bodies
// are not kept.
type h2 struct {
	sides   [2]h2side
	streams map[uint32]*h2stream // open ones
	highest uint32               // the latest that the client opened
	begun   int
	started []*h2stream // with the present packet
	ended   []h2end
	broken  bool // lost track
}

// h2side is one direction.
type h2side struct {
	preface int    // bytes of the client's preface that are still to come
	frame   []byte // a frame under way, or its head
	skip    int    // bytes to come of one that is of no interest
	whole   bytes.Reader
	framer  *http2.Framer
	fields  *hpack.Decoder
	stream  uint32      // whose header block is under way; 0: none is
	last    bool        // and it ends the stream
	pushed  bool        // it belongs to a push promise
	at      tlstap.Mark // of the frame under way
	opened  tlstap.Mark // of the header block's first frame
	found   h2fields
}

// h2fields are those of a header block that matter.
type h2fields struct {
	method, target string
	id             string // X-Request-ID
	tag            string // what identifies the request: the first of idHeaders that is there
	rank           int    // of that one
	status         int
	size           int // of the block
}

// h2stream is a request.
type h2stream struct {
	h2fields
	began    tlstap.Mark
	ordinal  int // on its connection, from 1
	answered bool
	refused  bool   // it was not looked at, and the client may send it again: RFC 9113 §8.7
	sent     uint32 // bytes of header block and body
	anchor   *anchor
}

// key identifies the request by its message, as [requestKey] does; 0 if it has no id.
func (s *h2stream) key() uint64 {
	if s.tag == "" {
		return 0
	}
	return hashKey([]byte(s.tag), nil)
}

// h2end is the end of a request.
type h2end struct {
	*h2stream
	id      uint32
	outcome Outcome
	how     string      // for people
	at      tlstap.Mark // the record that says so
	side    tlstap.Side // and who sent it
}

const (
	h2FrameHead = 9
	// maxH2Frame is the longest frame that is read as a whole, and maxH2Table the
	// largest table of header fields; peers that want more are not followed.
	maxH2Frame = 1 << 16
	maxH2Table = 1 << 16
	maxStreams = 1 << 14 // open at a time
)

func newH2() *h2 {
	c := &h2{streams: map[uint32]*h2stream{}}
	c.sides[tlstap.Client].preface = len(http2.ClientPreface)
	for i := range c.sides {
		s := &c.sides[i]
		s.framer = http2.NewFramer(io.Discard, &s.whole)
		s.framer.SetReuseFrames()
		s.framer.AllowIllegalReads = true // order is checked here, as far as it matters
		s.framer.SetMaxReadFrameSize(maxH2Frame)
		s.fields = hpack.NewDecoder(4096, func(f hpack.HeaderField) { s.found.field(f) })
		s.fields.SetMaxStringLength(maxH2Frame)
	}
	return c
}

// looksLikeH2 tells whether what a side says first is HTTP/2; known is false where it
// could still be anything.
func looksLikeH2(side tlstap.Side, b []byte) (is, known bool) {
	if side == tlstap.Client {
		n := min(len(b), len(http2.ClientPreface))
		return string(b[:n]) == http2.ClientPreface[:n], n > 0
	}
	if len(b) < h2FrameHead {
		return false, false
	}
	// A server's preface is a SETTINGS frame, RFC 9113 §3.4.
	return b[0] == 0 && b[1] == 0 && b[2]%6 == 0 && http2.FrameType(b[3]) == http2.FrameSettings && b[4] == 0 && binary.BigEndian.Uint32(b[5:]) == 0, true
}

// feed takes the next bytes of a side, which are in a record that begins at a mark.
func (c *h2) feed(side tlstap.Side, b []byte, at tlstap.Mark) {
	s := &c.sides[side]
	if n := min(s.preface, len(b)); n > 0 {
		from := len(http2.ClientPreface) - s.preface
		if string(b[:n]) != http2.ClientPreface[from:from+n] {
			c.broken = true
		}
		s.preface -= n
		b = b[n:]
	}
	for len(b) > 0 && !c.broken {
		b = b[c.feedFrame(side, s, b, at):]
	}
}

// feedFrame takes bytes of one frame, and returns how many.
func (c *h2) feedFrame(side tlstap.Side, s *h2side, b []byte, at tlstap.Mark) int {
	if s.skip > 0 {
		n := min(s.skip, len(b))
		s.skip -= n
		return n
	}
	if n := h2FrameHead - len(s.frame); n > 0 {
		if len(s.frame) == 0 {
			s.at = at
		}
		n = min(n, len(b))
		if s.frame = append(s.frame, b[:n]...); len(s.frame) == h2FrameHead {
			c.head(side, s, at)
		}
		return n
	}
	length := frameLength(s.frame)
	n := min(h2FrameHead+length-len(s.frame), len(b))
	if s.frame = append(s.frame, b[:n]...); len(s.frame) == h2FrameHead+length {
		c.read(side, s, at)
	}
	return n
}

func frameLength(head []byte) int { return int(head[0])<<16 | int(head[1])<<8 | int(head[2]) }

// head looks at a frame's head: most frames are of interest for no more.
func (c *h2) head(side tlstap.Side, s *h2side, at tlstap.Mark) {
	length, typ, flags := frameLength(s.frame), http2.FrameType(s.frame[3]), http2.Flags(s.frame[4])
	id := binary.BigEndian.Uint32(s.frame[5:]) &^ (1 << 31)
	switch typ {
	case http2.FrameHeaders, http2.FrameContinuation, http2.FramePushPromise, http2.FrameRSTStream, http2.FrameGoAway, http2.FrameSettings:
		switch {
		case length > maxH2Frame, s.stream != 0 && (typ != http2.FrameContinuation || id != s.stream):
			c.broken = true
		case length == 0:
			c.read(side, s, at)
		}
		return
	case http2.FrameData:
		if st := c.streams[id]; st != nil && side == tlstap.Client {
			st.sent += uint32(length)
		}
		if side == tlstap.Server && flags.Has(http2.FlagDataEndStream) {
			c.complete(id, at)
		}
	}
	if s.stream != 0 { // nothing may come between a header block's frames
		c.broken = true
	}
	s.frame, s.skip = s.frame[:0], length
}

// read reads a whole frame.
func (c *h2) read(side tlstap.Side, s *h2side, at tlstap.Mark) {
	s.whole.Reset(s.frame)
	f, err := s.framer.ReadFrame()
	s.frame = s.frame[:0]
	if err != nil {
		c.broken = true
		return
	}
	switch f := f.(type) {
	case *http2.HeadersFrame:
		s.stream, s.last, s.pushed, s.opened = f.StreamID, f.StreamEnded(), false, s.at
		c.block(side, s, f.HeaderBlockFragment(), f.HeadersEnded(), at)
	case *http2.PushPromiseFrame:
		s.stream, s.last, s.pushed = f.StreamID, false, true
		c.block(side, s, f.HeaderBlockFragment(), f.HeadersEnded(), at)
	case *http2.ContinuationFrame:
		if s.stream == 0 {
			c.broken = true
			return
		}
		c.block(side, s, f.HeaderBlockFragment(), f.HeadersEnded(), at)
	case *http2.RSTStreamFrame:
		c.reset(side, f.StreamID, f.ErrCode, at)
	case *http2.GoAwayFrame:
		if side == tlstap.Server {
			for id := range c.streams { // they were not looked at, and may be sent again: RFC 9113 §6.8
				if id > f.LastStreamID {
					delete(c.streams, id)
				}
			}
		}
	case *http2.SettingsFrame:
		// Who has a larger table lets the other side use it.
		if n, ok := f.Value(http2.SettingHeaderTableSize); ok && !f.IsAck() {
			c.sides[1-side].fields.SetAllowedMaxDynamicTableSize(min(n, maxH2Table))
		}
	}
}

// block takes a piece of a header block.
func (c *h2) block(side tlstap.Side, s *h2side, piece []byte, ends bool, at tlstap.Mark) {
	s.found.size += len(piece)
	if _, err := s.fields.Write(piece); err != nil || s.found.size > maxHead {
		c.broken = true
		return
	}
	if !ends {
		return
	}
	if s.fields.Close() != nil {
		c.broken = true
		return
	}
	id, found := s.stream, s.found
	s.stream, s.found = 0, h2fields{}
	switch {
	case s.pushed:
	case side == tlstap.Client:
		c.request(id, found, s.opened)
	case found.status >= 200:
		if st := c.streams[id]; st != nil {
			st.status, st.answered = found.status, true
		}
		fallthrough
	default: // an informational response, or trailers
		if s.last {
			c.complete(id, at)
		}
	}
}

// request notes the header block of a client: a new request, or trailers.
func (c *h2) request(id uint32, found h2fields, at tlstap.Mark) {
	if id <= c.highest || id%2 == 0 || found.method == "" {
		return
	}
	c.highest = id
	if len(c.streams) >= maxStreams {
		c.broken = true
		return
	}
	c.begun++
	st := &h2stream{h2fields: found, began: at, ordinal: c.begun, sent: uint32(found.size)}
	c.streams[id], c.started = st, append(c.started, st)
}

// field notes a header field.
func (f *h2fields) field(h hpack.HeaderField) {
	switch h.Name {
	case ":method":
		f.method = strings.Clone(h.Value[:min(len(h.Value), 32)])
	case ":path":
		f.target = strings.Clone(h.Value[:min(len(h.Value), 512)])
	case ":status":
		if n, ok := number([]byte(h.Value)); ok {
			f.status = int(n)
		}
	default:
		for rank, name := range idHeaders {
			if h.Name == name && (f.tag == "" || rank < f.rank) {
				if f.tag, f.rank = strings.Clone(h.Value[:min(len(h.Value), 128)]), rank; rank == 0 {
					f.id = f.tag
				}
			}
		}
	}
}

// complete ends a request with a whole response.
func (c *h2) complete(id uint32, at tlstap.Mark) {
	st := c.streams[id]
	switch {
	case st == nil:
	case st.status >= 500:
		c.end(id, Error, fmt.Sprintf("the answer %d ends", st.status), at, tlstap.Server)
	default:
		c.end(id, OK, "", at, tlstap.Server)
	}
}

// reset ends a request by RST_STREAM.
func (c *h2) reset(side tlstap.Side, id uint32, code http2.ErrCode, at tlstap.Mark) {
	st := c.streams[id]
	how := fmt.Sprintf("RST_STREAM of stream %d, %s", id, code)
	switch {
	case st == nil:
	case side == tlstap.Server && code == http2.ErrCodeRefusedStream && !st.answered:
		st.refused = true
		c.end(id, Reset, how, at, side)
	case st.status >= 500:
		c.end(id, Error, how, at, side)
	case side == tlstap.Server:
		c.end(id, Reset, how, at, side)
	default:
		c.end(id, Timeout, how, at, side)
	}
}

func (c *h2) end(id uint32, outcome Outcome, how string, at tlstap.Mark, side tlstap.Side) {
	c.ended = append(c.ended, h2end{c.streams[id], id, outcome, how, at, side})
	delete(c.streams, id)
}
