package bigip

import (
	"bytes"
	"strconv"
)

var headerTerminator = []byte("\r\n\r\n")

// headerEnd says whether the header is complete. scanned remembers how far the
// search has come, so that a header arriving byte by byte is not searched anew.
func headerEnd(request []byte, scanned *int) bool {
	from := max(0, *scanned-len(headerTerminator)+1)
	*scanned = len(request)
	return bytes.Contains(request[from:], headerTerminator)
}

var requestIDName = []byte("x-request-id:")

// requestOrdinal reads the request's ordinal from its X-Request-ID; -1 if there
// is none or it is not a number (somebody else's client).
func requestOrdinal(request []byte) int {
	head, _, _ := bytes.Cut(request, headerTerminator)
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		if len(line) < len(requestIDName) || !bytes.EqualFold(line[:len(requestIDName)], requestIDName) {
			continue
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line[len(requestIDName):])), 10, 31)
		if err != nil {
			return -1
		}
		return int(n)
	}
	return -1
}
