package bigip

import (
	"bytes"
	"strconv"
	"strings"
)

var headerTerminator = []byte("\r\n\r\n")

// headerEnd returns how long the header is, with the empty line behind it; 0 while it
// is not complete. scanned remembers how far the search has come, so that a header
// arriving byte by byte is not searched anew.
func headerEnd(request []byte, scanned *int) int {
	from := max(0, *scanned-len(headerTerminator)+1)
	*scanned = len(request)
	if i := bytes.Index(request[from:], headerTerminator); i >= 0 {
		return from + i + len(headerTerminator)
	}
	return 0
}

// field returns the value of the first header field of a name; what stands behind an
// empty line is body.
func field(fields []byte, name string) (value []byte, found bool) {
	for len(fields) > 0 {
		var line []byte
		line, fields, _ = bytes.Cut(fields, []byte("\r\n"))
		if len(line) == 0 {
			break // the body follows
		}
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return bytes.TrimSpace(line[len(name)+1:]), true
		}
	}
	return nil, false
}

// requestOrdinal reads the request's ordinal from its X-Request-ID; -1 if there
// is none or it is not a number (somebody else's client).
func requestOrdinal(header []byte) int {
	id, _ := field(header, "x-request-id")
	n, err := strconv.ParseUint(string(id), 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}

// violation says what the http profile dislikes of a request's header; false if
// nothing.
func (p *HTTPProfile) violation(header []byte) (Event, bool) {
	if !wellFormed(header) {
		return BadRequest, true
	}
	if bytes.Count(header, []byte("\r\n"))-2 > p.headerCount() {
		return TooManyHeaders, true
	}
	return 0, false
}

// wellFormed says whether a header begins with a request line (RFC 9112 §3): a method,
// a target and a version of HTTP/1, with one space between them.
func wellFormed(header []byte) bool {
	line, _, _ := bytes.Cut(header, []byte("\r\n"))
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(target) == 0 || !bytes.HasPrefix(version, []byte("HTTP/1.")) || bytes.IndexByte(version, ' ') >= 0 {
		return false
	}
	return isToken(method)
}

// isToken: RFC 9110 §5.6.2.
func isToken(b []byte) bool {
	for _, x := range b {
		switch {
		case x >= 'a' && x <= 'z', x >= 'A' && x <= 'Z', x >= '0' && x <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", x) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}
