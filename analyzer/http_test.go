package analyzer

import (
	"fmt"
	"strings"
	"testing"
)

// script is a connection as a list of turns: ">" from the client, "<" from
// the server, ">F" "<F" FIN, ">R" "<R" RST, ">G7" seven bytes that the capture
// missed but the receiver acknowledged, ">C7" seven bytes behind the snap length.
func TestOutcomes(t *testing.T) {
	const req = "POST /a HTTP/1.1\r\nx-request-id:  7 \r\ncontent-length: 3\r\n\r\nabc"
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, c := range []struct {
		name   string
		script []string
		want   string
	}{
		{"a whole response is ok", []string{">" + req, "<" + ok, ">F", "<F"}, "1 seen 1 ok"},
		{"a response byte by byte is ok", append(append([]string{">" + req}, bytewise("<", ok)...), "<F", ">F"), "1 seen 1 ok"},
		{"a request byte by byte is one request", append(bytewise(">", req), "<"+ok, "<F", ">F"), "1 seen 1 ok"},
		{"a RST after the response is normal", []string{">" + req, "<" + ok, "<R"}, "1 seen 1 ok"},
		{"a RST by the client after the response is normal", []string{">" + req, "<" + ok, ">R"}, "1 seen 1 ok"},
		{"no response, RST", []string{">" + req, "<R"}, "1 seen 0 ok; reset POST /a 7"},
		{"half a response, RST", []string{">" + req, "<" + ok[:30], "<R"}, "1 seen 0 ok; reset POST /a 7"},
		{"half a response, FIN", []string{">" + req, "<" + ok[:len(ok)-1], "<F", ">F"}, "1 seen 0 ok; truncated POST /a 7"},
		{"no response, FIN", []string{">" + req, "<F", ">F"}, "1 seen 0 ok; truncated POST /a 7"},
		{"the client gives up", []string{">" + req, ">F", "<F"}, "1 seen 0 ok; timeout POST /a 7"},
		{"the client gives up by RST", []string{">" + req, "<" + ok[:9], ">R"}, "1 seen 0 ok; timeout POST /a 7"},
		{"the client closes its half first and is answered", []string{">" + req, ">F", "<" + ok, "<F"}, "1 seen 1 ok"},
		{"503", []string{">" + req, "<HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "<F", ">F"}, "1 seen 0 ok; error POST /a 7"},
		{"503 until close", []string{">" + req, "<HTTP/1.0 503 No\r\n\r\nsorry", "<F", ">F"}, "1 seen 0 ok; error POST /a 7"},
		{"until close", []string{">" + req, "<HTTP/1.0 200 OK\r\n\r\nfine", "<F", ">F"}, "1 seen 1 ok"},
		{"100 first", []string{">" + req, "<HTTP/1.1 100 Continue\r\n\r\n", "<" + ok}, "1 seen 1 ok"},
		{"204 has no body", []string{">" + req, "<HTTP/1.1 204 OK\r\nContent-Length: 99\r\n\r\n", "<R"}, "1 seen 1 ok"},
		{"HEAD has no body", []string{">HEAD / HTTP/1.1\r\n\r\n", "<HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "<F"}, "1 seen 1 ok"},
		{"chunked", []string{">" + req, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n", "<A\r\n0123456789\r\n0\r\nT: v\r\n\r\n", "<R"}, "1 seen 1 ok"},
		{"chunked, cut", []string{">" + req, "<HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "<F", ">F"}, "1 seen 0 ok; truncated POST /a 7"},
		{"chunked request", []string{">POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", "<" + ok}, "1 seen 1 ok"},
		{"keep-alive, the second fails", []string{">" + req, "<" + ok, ">GET /b HTTP/1.1\r\n\r\n", "<R"}, "2 seen 1 ok; reset GET /b"},
		{"keep-alive, closed when idle", []string{">" + req, "<" + ok, ">" + req, "<" + ok, "<R"}, "2 seen 2 ok"},
		{"body bytes that the capture missed", []string{">" + req, "<" + strings.Replace(ok, ": 2", ": 9", 1), "<G7", ">F", "<F"}, "1 seen 1 ok"},
		{"a head that the capture missed: the close decides", []string{">" + req, "<G20", "<F", ">F"}, "1 seen 1 ok"},
		{"accepted, then reset before any byte", []string{"<R"}, "1 seen 0 ok; reset"},
		{"opened and closed without a request", []string{">F", "<F"}, "0 seen 0 ok"},
		{"not HTTP, answered", []string{">\x16\x03\x01hello", "<\x16\x03\x03world", ">F", "<F"}, "1 seen 1 ok"},
		{"not HTTP, reset", []string{">\x16\x03\x01hello", "<R"}, "1 seen 0 ok; reset"},
		{"still open when the capture ends", []string{">" + req}, "1 seen 0 ok"},
		{"a status line that is none", []string{">" + req, "<HTTP/1.1 abc\r\n\r\n", "<F", ">F"}, "1 seen 1 ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := playScript(c.script); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func bytewise(dir, s string) []string {
	var out []string
	for i := range len(s) {
		out = append(out, dir+s[i:i+1])
	}
	return out
}

// playScript runs a script through the survey and tells the outcome.
func playScript(script []string) string {
	s := newSurvey(Point{Name: "p"}, 0, true)
	play(s, script)
	return counted(s)
}

// counted tells what a survey has counted.
func counted(s *survey) (out string) {
	for _, v := range s.servers {
		out = fmt.Sprintf("%d seen %d ok", v.counts.Seen, v.counts.OK)
	}
	for _, f := range s.log.failures {
		out += strings.TrimRight(fmt.Sprintf("; %s %s %s %s", f.outcome, f.method, f.target, f.id), " ")
	}
	return out
}

// play runs a script through a survey.
func play(s *survey, script []string) { playFrom(s, 4000, script); s.end() }

// playFrom does so for a client's port, and leaves the survey open.
func playFrom(s *survey, port uint16, script []string) {
	now, seq := max(int64(1e9), s.now), [2]uint32{100, 500}
	send := func(from int, flags byte, payload string, gap, cut uint32) {
		now += 1e6
		p := packet{frame: uint64(now / 1e6), time: now, src: []byte{198, 18, 0, byte(1 + from)}, dst: []byte{198, 18, 0, byte(2 - from)},
			sport: port, dport: 80, seq: seq[from], ack: seq[1-from], flags: flags, length: len(payload) + int(cut), payload: []byte(payload)}
		if from == 1 {
			p.sport, p.dport = 80, port
		}
		s.note(p.frame, now)
		s.now = now
		s.digest(&p, nil, 0)
		seq[from] += uint32(len(payload)) + gap + cut
		if flags&(flagSYN|flagFIN) != 0 {
			seq[from]++
		}
	}
	send(0, flagSYN, "", 0, 0)
	send(1, flagSYN|flagACK, "", 0, 0)
	send(0, flagACK, "", 0, 0)
	for _, turn := range script {
		from := strings.IndexByte("><", turn[0])
		switch body := turn[1:]; {
		case body == "F":
			send(from, flagACK|flagFIN, "", 0, 0)
		case body == "R":
			send(from, flagACK|flagRST, "", 0, 0)
		case body[0] == 'G' && len(body) <= 3:
			var n uint32
			_, _ = fmt.Sscan(body[1:], &n)
			seq[from] += n
			send(1-from, flagACK, "", 0, 0)
		case body[0] == 'C' && len(body) <= 3:
			var n uint32
			_, _ = fmt.Sscan(body[1:], &n)
			send(from, flagACK, "", 0, n)
		default:
			send(from, flagACK, body, 0, 0)
		}
	}
}

// TestRequestsOfWhichNoByteWasCaptured: with IPv6 a short snap length leaves nothing but
// headers. Who gets no answer from a server that answers others has failed.
func TestRequestsOfWhichNoByteWasCaptured(t *testing.T) {
	answered := []string{">C40", "<C90", ">F", "<F"}
	for _, c := range []struct {
		name          string
		before, after []string
		want          string
	}{
		{"an answer", answered, answered, "2 seen 2 ok"},
		{"the client gives up", answered, []string{">C40", ">F", "<F"}, "2 seen 1 ok; timeout"},
		{"the client gives up by RST", answered, []string{">C40", ">R"}, "2 seen 1 ok; timeout"},
		{"the server closes instead of answering", answered, []string{">C40", "<F", ">F"}, "2 seen 1 ok; truncated"},
		{"a server that never answers anybody has nothing to answer", []string{">C40", ">F", "<F"}, []string{">C40", ">F", "<F"}, "2 seen 2 ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSurvey(Point{Name: "p"}, 0, true)
			playFrom(s, 4000, c.before)
			playFrom(s, 4001, c.after)
			s.end()
			if got := counted(s); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestStreamPutsSegmentsInOrder(t *testing.T) {
	var got recorder
	var s stream
	s.start(1)
	for _, g := range []struct {
		seq     uint32
		payload string
	}{{1, "ab"}, {5, "ef"}, {2, "bc"}, {1, "ab"}, {3, "cdef"}, {10, "j"}, {7, "gh"}} {
		s.push(g.seq, []byte(g.payload), len(g.payload), &got)
	}
	s.acked(11, &got)
	if want := "ab|c|d|ef|gh|gap 1|j|"; string(got) != want && string(got) != "ab|c|def|gh|gap 1|j|" {
		t.Errorf("got %q, want %q", got, want)
	}
}

type recorder string

func (r *recorder) data(b []byte) { *r += recorder(b) + "|" }
func (r *recorder) gap(n int)     { *r += recorder(fmt.Sprintf("gap %d|", n)) }
