package analyzer

import (
	"bytes"
	"cmp"
	"slices"
)

// anchor is a sampled request: what its message itself says it is, and when it
// began and was answered at this point. The same request passes both sides of a
// full proxy in different connections; its anchors tie their clocks together and
// tell how long the proxy takes to act on a request.
type anchor struct {
	key     uint64
	server  endpoint
	port    uint16 // the initiator's
	opened  int64  // the connection's SYN; 0: not seen
	began   int64  // first byte of the request
	replied int64  // first byte of the response; 0: none yet
	epochs  [3]uint16
	first   bool         // the connection's first request
	stamps  [2]sendStamp // of the packets with the first bytes, by direction
}

// sendStamp is a packet's TSval (RFC 7323), which tells copies of what is sent again apart.
type sendStamp struct {
	tsval uint32
	known bool
}

func (p *packet) sent() (t sendStamp) {
	t.tsval, t.known = p.timeStamp()
	return t
}

// another tells whether two packets with the same bytes are not one, but sent apart.
func (t sendStamp) another(u sendStamp) bool { return t.known && u.known && t.tsval != u.tsval }

// anchorage keeps the anchors whose key is lowest: the same requests at every
// point, however many there are.
type anchorage struct {
	limit uint64
	all   []*anchor
}

const anchorSample = 4096

func (a *anchorage) add(x *anchor) bool {
	if x.key > a.limit {
		return false
	}
	a.all = append(a.all, x)
	for len(a.all) > 2*anchorSample {
		a.limit /= 2
		kept := a.all[:0]
		for _, y := range a.all {
			if y.key <= a.limit {
				kept = append(kept, y)
			}
		}
		clear(a.all[len(kept):])
		a.all = kept
	}
	return true
}

// idHeaders carry a request's identity, in lower case; the first that is there
// counts.
var idHeaders = []string{"x-request-id", "x-correlation-id", "x-unique-id", "traceparent"}

// requestKey identifies a request by its message, as a proxy passes it on: by a
// request id, else by target and body. 0 means that b is no request, or that too
// little of it was captured.
func requestKey(b []byte, whole bool) uint64 {
	if !looksLikeRequest(b) {
		return 0
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	head := b
	if end >= 0 {
		head = b[:end+2]
	}
	if id := headerID(head); id != nil {
		return hashKey(id, nil)
	}
	if end < 0 || !whole || len(b) == end+4 {
		return 0
	}
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	return hashKey(line, b[end+4:])
}

// hashKey is FNV-1a with a finalizer: the same in every run of the program.
func hashKey(a, b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, part := range [2][]byte{a, b} {
		for _, c := range part {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return max(1, mix(h))
}

// looksLikeRequest tells whether b begins with an HTTP/1 request's method.
func looksLikeRequest(b []byte) bool {
	if len(b) <= 16 || b[0] < 'A' || b[0] > 'Z' {
		return false
	}
	for i, c := range b[:16] {
		if c == ' ' {
			return i > 0
		}
		if !(c >= 'A' && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return false
}

// headerID finds the value of a request id in a head. A line that was cut off
// does not count.
func headerID(head []byte) (found []byte) {
	rank := len(idHeaders)
	for {
		i := bytes.IndexByte(head, '\n')
		if i < 0 {
			return found
		}
		line := head[:i]
		head = head[i+1:]
		if len(line) < 10 || line[0]|0x20 != 'x' && line[0]|0x20 != 't' {
			continue
		}
		for r, name := range idHeaders[:rank] {
			if len(line) > len(name) && line[len(name)] == ':' && equalFold(line[:len(name)], name) {
				found, rank = bytes.Trim(line[len(name)+1:], " \t\r"), r
				break
			}
		}
	}
}

// anchorRequest samples the first request of a connection.
func (s *survey) anchorRequest(c *conn, p *packet) {
	c.flags |= triedAnchor
	key := requestKey(p.payload, len(p.payload) == p.length)
	if key == 0 || key > s.anchors.limit {
		return
	}
	x := &anchor{key: key, server: c.server.endpoint, began: p.time, first: true, epochs: [3]uint16{c.synEpoch, s.epoch(), 0}}
	x.stamps[up] = p.sent()
	if x.port = p.sport; c.flags&sawSYN != 0 {
		x.opened = c.started
	}
	if s.anchors.add(x) {
		c.anchor = x
	}
}

func (a *anchorage) sort() {
	slices.SortStableFunc(a.all, func(x, y *anchor) int { return cmp.Compare(x.key, y.key) })
}

// sameKeys calls f for each key that both of two sorted lists have, with the anchors that
// have it in either.
func sameKeys(a, b []*anchor, f func(xs, ys []*anchor)) {
	for len(a) > 0 && len(b) > 0 {
		i, j := ofOneKey(a), ofOneKey(b)
		switch x, y := a[0].key, b[0].key; {
		case x < y:
			a = a[i:]
		case x > y:
			b = b[j:]
		default:
			f(a[:i], b[:j])
			a, b = a[i:], b[j:]
		}
	}
}

// ofOneKey is how many anchors at the beginning of a list have the key of its first.
func ofOneKey(l []*anchor) int {
	n := 1
	for n < len(l) && l[n].key == l[0].key {
		n++
	}
	return n
}
