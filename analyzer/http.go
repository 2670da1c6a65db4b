package analyzer

import (
	"bytes"
	"strconv"
)

// message parses one direction of HTTP/1.x (RFC 9112): heads, and the length
// of bodies. Bodies themselves are not kept.
type message struct {
	request bool
	state   messageState
	left    int64  // bytes left of the body or chunk
	head    []byte // an unfinished head or chunk line
	stream

	// Of the current message:
	method, target, id []byte // request
	status             int    // response
	length             int64  // -1: none given
	chunked            bool
	bodiless           bool // the request's method was HEAD
}

type messageState uint8

const (
	atHead messageState = iota // before or inside a head
	inBody
	inChunkLine
	inChunk
	inChunkEnd
	inTrailer
	untilClose
	opaque // not HTTP, or lost track
)

const maxHead = 64 << 10

// event is what feeding bytes brought about.
type event uint8

const (
	nothing event = iota
	begun         // the first byte of a message
	headed        // the head is complete
	done          // the message is complete
)

// feed consumes some of b and returns the rest and what happened. It is to be
// called until nothing is left.
func (m *message) feed(b []byte) ([]byte, event) {
	switch m.state {
	case atHead:
		return m.feedHead(b)
	case inBody, inChunk:
		n := min(int64(len(b)), m.left)
		m.left -= n
		b = b[n:]
		if m.left > 0 {
			return b, nothing
		}
		if m.state == inChunk {
			m.state = inChunkEnd
			return b, nothing
		}
		m.state = atHead
		return b, done
	case inChunkLine, inChunkEnd, inTrailer:
		return m.feedLine(b)
	}
	return nil, nothing // untilClose, opaque
}

// inside tells whether a message has begun and, by its own head, is not at its end.
func (m *message) inside() bool {
	return m.state == atHead && len(m.head) > 0 || m.state > atHead && m.state < untilClose
}

func (m *message) feedHead(b []byte) ([]byte, event) {
	if len(m.head) == 0 {
		// RFC 9112 §2.2: ignore empty lines before a message.
		for len(b) > 0 && (b[0] == '\r' || b[0] == '\n') {
			b = b[1:]
		}
		if len(b) == 0 {
			return nil, nothing
		}
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return b[i+4:], m.parseHead(b[:i+2])
		}
		m.head = append(m.head, b...)
		return nil, m.plausible()
	}
	old := len(m.head)
	m.head = append(m.head, b...)
	i := bytes.Index(m.head[max(0, old-3):], []byte("\r\n\r\n"))
	if i < 0 {
		return nil, m.plausible()
	}
	i += max(0, old-3)
	rest := b[i+4-old:]
	e := m.parseHead(m.head[:i+2])
	m.head = m.head[:0]
	return rest, e
}

// plausible gives up on what cannot become an HTTP head.
func (m *message) plausible() event {
	if len(m.head) > maxHead || !m.looksRight(m.head) {
		m.state, m.head = opaque, m.head[:0]
	}
	return begun
}

func (m *message) looksRight(b []byte) bool {
	if !m.request {
		const v = "HTTP/"
		return bytes.HasPrefix(b, []byte(v[:min(len(v), len(b))]))
	}
	for i, c := range b {
		if c == ' ' {
			return i > 0
		}
		if i > 20 || !(c >= 'A' && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// parseHead reads a whole head; h ends with the last line's CRLF.
func (m *message) parseHead(h []byte) event {
	line, rest, _ := bytes.Cut(h, []byte("\r\n"))
	m.length, m.chunked, m.status = -1, false, 0
	if !m.looksRight(line) || !m.parseStart(line) {
		m.state = opaque
		return begun
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		value = bytes.Trim(value, " \t")
		switch len(name) {
		case len("Content-Length"):
			if equalFold(name, "content-length") {
				if n, ok := number(value); ok {
					m.length = n
				}
			}
		case len("Transfer-Encoding"):
			if equalFold(name, "transfer-encoding") {
				m.chunked = len(value) >= 7 && equalFold(value[len(value)-7:], "chunked")
			}
		case len("X-Request-ID"):
			if m.request && equalFold(name, "x-request-id") {
				m.id = append(m.id[:0], value[:min(len(value), 128)]...)
			}
		}
	}
	return m.body()
}

func (m *message) parseStart(line []byte) bool {
	a, rest, _ := bytes.Cut(line, []byte(" "))
	b, c, _ := bytes.Cut(rest, []byte(" "))
	if m.request {
		if !bytes.HasPrefix(c, []byte("HTTP/1.")) {
			return false
		}
		m.id = m.id[:0]
		m.method = append(m.method[:0], a...)
		m.target = append(m.target[:0], b[:min(len(b), 512)]...)
		return true
	}
	if !bytes.HasPrefix(a, []byte("HTTP/1.")) {
		return false
	}
	n, ok := number(b)
	m.status = int(n)
	return ok && n >= 100 && n <= 999
}

// body decides how long the body is, RFC 9112 §6.3.
func (m *message) body() event {
	m.state = atHead
	switch {
	case !m.request && (m.status < 200 || m.status == 204 || m.status == 304 || m.bodiless):
		return done
	case m.chunked:
		m.state = inChunkLine
	case m.length > 0:
		m.state, m.left = inBody, m.length
	case m.length == 0 || m.request:
		return done
	default:
		m.state = untilClose
	}
	return headed
}

// feedLine reads chunk sizes, the CRLF behind a chunk, and trailers: RFC 9112 §7.1.
func (m *message) feedLine(b []byte) ([]byte, event) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		if m.head = append(m.head, b...); len(m.head) > maxHead {
			m.state, m.head = opaque, m.head[:0]
		}
		return nil, nothing
	}
	line := b[:i]
	if len(m.head) > 0 {
		line = append(m.head, line...)
		m.head = line[:0]
	}
	b = b[i+1:]
	line = bytes.TrimRight(line, "\r")
	switch m.state {
	case inChunkEnd:
		m.state = inChunkLine
	case inTrailer:
		if len(line) == 0 {
			m.state = atHead
			return b, done
		}
	case inChunkLine:
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, ok := hexNumber(bytes.TrimRight(size, " \t"))
		switch {
		case !ok:
			m.state = opaque
		case n == 0:
			m.state = inTrailer
		default:
			m.state, m.left = inChunk, n
		}
	}
	return b, nothing
}

// skip accounts for n bytes that were not captured.
func (m *message) skip(n int64) event {
	switch m.state {
	case untilClose, opaque:
		return nothing
	case inBody, inChunk:
		if n < m.left {
			m.left -= n
			return nothing
		}
		if n == m.left {
			m.left = 0
			if m.state == inChunk {
				m.state = inChunkEnd
				return nothing
			}
			m.state = atHead
			return done
		}
	}
	if m.state == atHead {
		m.parseCutHead()
	}
	m.state, m.head = opaque, m.head[:0]
	return begun
}

// responseLength is the size of a response, head and body, by its own head; 0 if
// the head is not all in b or does not say.
func responseLength(b []byte) uint32 {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return 0
	}
	var m message
	m.parseHead(b[:end+2])
	if n := int64(end) + 4 + max(0, m.length); m.state != opaque && !m.chunked && m.status >= 200 && m.length >= 0 && n < 1<<31 {
		return uint32(n)
	}
	return 0
}

// parseCutHead takes what it can from a head of which the rest was not captured:
// a whole request line, or a status.
func (m *message) parseCutHead() {
	line, _, whole := bytes.Cut(m.head, []byte("\r\n"))
	if m.request && !whole || !m.looksRight(line) {
		return
	}
	if len(line) >= len("HTTP/1.1 200") {
		m.parseStart(line)
	}
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

func number(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func hexNumber(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 16, 64)
	return n, err == nil && n >= 0
}
