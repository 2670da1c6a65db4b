package analyzer

import (
	"bytes"
	"maps"
	"net/netip"
)

// clues are what one capture tells about a proxy, gathered while it is read:
// what ties connections to one destination to connections to another. No
// clocks are compared, so it does not matter whose the other capture is.
type clues struct {
	pending map[flowKey]question
	limit   uint64 // hashes above it are not kept: the same ones at every point
	echoes  map[echoKey]echo
	ties    map[[2]netip.AddrPort]int // destinations that an F5 trailer ties, front first
}

// question is a request that has no answer yet.
type question struct {
	isn   uint32
	at    int64
	lines []uint64
}

// echoKey is a line of a request, and where the request went.
type echoKey struct {
	line uint64
	to   netip.AddrPort
}

// echo is how long a request with a line was without an answer, and how many
// requests had that line: one that several had tells nothing.
type echo struct {
	wait  int64
	times int
}

const (
	maxQuestions = 1 << 16 // requests that wait at a time
	maxEchoes    = 4 * sampleSize
	shortLine    = 8 // bytes; shorter lines say little
)

func newClues() *clues {
	return &clues{pending: map[flowKey]question{}, limit: 1<<64 - 1, echoes: map[echoKey]echo{}, ties: map[[2]netip.AddrPort]int{}}
}

// data digests a packet that carries data.
func (k *clues) data(s *survey, c *conn, p *packet, frame []byte, wireLength int, fromClient bool) {
	q, waiting := k.pending[c.key]
	waiting = waiting && q.isn == c.isn
	if fromClient {
		if !waiting && len(k.pending) < maxQuestions && (&message{request: true}).looksRight(p.payload[:min(len(p.payload), 24)]) {
			k.pending[c.key] = question{c.isn, p.time, k.hashLines(q.lines[:0], p.payload)}
		}
		return
	}
	if !waiting || bytes.HasPrefix(p.payload, []byte("HTTP/1.1 1")) { // 1xx is not the answer, RFC 9110 §15.2
		return
	}
	delete(k.pending, c.key)
	t := s.tuple(c)
	for _, line := range q.lines {
		e := k.echoes[echoKey{line, t.server}]
		k.echoes[echoKey{line, t.server}] = echo{p.time - q.at, e.times + 1}
	}
	for len(k.echoes) > maxEchoes {
		k.limit /= 2
		maps.DeleteFunc(k.echoes, func(e echoKey, _ echo) bool { return e.line > k.limit })
	}
	k.trailer(t, frame, wireLength)
}

// trailer notes the two destinations that an F5 trailer ties. It does not tell
// which side its frame is from: read the wrong way round it names an ephemeral
// port as a destination, which no capture shows.
func (k *clues) trailer(t tuple, frame []byte, wireLength int) {
	var n trailerNote
	if decodeTrailer(frame, wireLength, &n) && n.hasPeer {
		k.tie(t, &n)
	}
}

func (k *clues) tie(t tuple, n *trailerNote) {
	k.ties[[2]netip.AddrPort{t.server, n.serverside().server}]++
	k.ties[[2]netip.AddrPort{n.peer.server, t.server}]++
}

// hashLines appends the hashes of a request's lines. What a proxy changes in a
// request it changes by the line; the others it passes on as they are.
func (k *clues) hashLines(out []uint64, head []byte) []uint64 {
	head, _, _ = bytes.Cut(head, []byte("\r\n\r\n"))
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		if len(line) < shortLine {
			continue
		}
		if h := hashFold(line); h <= k.limit {
			out = append(out, h)
		}
	}
	return out
}

// hashFold is a hash of a line whatever the case of its letters, which some
// proxies change in the names of fields.
func hashFold(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	return mix(h)
}
