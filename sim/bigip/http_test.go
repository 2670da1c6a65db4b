package bigip

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestTheOrdinalIsReadFromTheRequestID(t *testing.T) {
	for _, row := range []struct {
		name, request string
		want          int
	}{
		{"our own client's", "POST /batch HTTP/1.1\r\nHost: vs\r\nX-Request-ID: 17\r\n\r\n", 17},
		{"in any case of letters", "GET / HTTP/1.1\r\nx-REQUEST-id: 5\r\n\r\n", 5},
		{"without a space, or with several", "GET / HTTP/1.1\r\nX-Request-ID:\t 8 \r\n\r\n", 8},
		{"the first of two counts", "GET / HTTP/1.1\r\nX-Request-ID: 1\r\nX-Request-ID: 2\r\n\r\n", 1},
		{"the greatest there can be", "GET / HTTP/1.1\r\nX-Request-ID: 2147483647\r\n\r\n", 1<<31 - 1},
		{"none", "GET / HTTP/1.1\r\nHost: vs\r\n\r\n", -1},
		{"one that is no number", "GET / HTTP/1.1\r\nX-Request-ID: 7a\r\n\r\n", -1},
		{"a negative one", "GET / HTTP/1.1\r\nX-Request-ID: -7\r\n\r\n", -1},
		{"one that is too large for an ordinal", "GET / HTTP/1.1\r\nX-Request-ID: 2147483648\r\n\r\n", -1},
		{"an empty one", "GET / HTTP/1.1\r\nX-Request-ID:\r\n\r\n", -1},
		{"one in the body only", "POST / HTTP/1.1\r\nHost: vs\r\n\r\nX-Request-ID: 3\r\n\r\n", -1},
		{"one in another field's value only", "GET / HTTP/1.1\r\nVia: X-Request-ID: 3\r\n\r\n", -1},
		{"nothing at all", "", -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := requestOrdinal([]byte(row.request)); got != row.want {
				t.Errorf("got %d, want %d", got, row.want)
			}
		})
	}
}

func TestTheHeaderEndsWhereItEndsHoweverItArrives(t *testing.T) {
	request := "POST /batch HTTP/1.1\r\nHost: vs\r\n\r\nbody\r\n\r\nmore"
	end := strings.Index(request, "\r\n\r\n") + 4
	for step := 1; step <= len(request); step++ {
		scanned, found := 0, -1
		for at := min(step, len(request)); found < 0; at = min(at+step, len(request)) {
			if headerEnd([]byte(request[:at]), &scanned) > 0 {
				found = at
			} else if at == len(request) {
				t.Fatalf("in steps of %d the end is not found", step)
			}
		}
		if found < end || found >= end+step {
			t.Errorf("in steps of %d the end is found with %d bytes there, want the first step from %d on", step, found, end)
		}
	}
	scanned := 0
	if headerEnd([]byte("POST / HTTP/1.1\r\nHost: vs\r\n\r"), &scanned) > 0 || headerEnd(nil, new(int)) > 0 {
		t.Error("an end was found where there is none")
	}
}

func FuzzTheHeaderSearchAgreesWithOneThatSeesEverythingAtOnce(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nX-Request-ID: 1\r\n\r\n"), uint8(1))
	f.Add([]byte("\r\r\n\r\n"), uint8(3))
	f.Add([]byte("\r\n\r"), uint8(2))
	f.Fuzz(func(t *testing.T, request []byte, step uint8) {
		if step == 0 {
			step = 1
		}
		scanned := 0
		for at := 0; ; {
			at = min(at+int(step), len(request))
			got, want := headerEnd(request[:at], &scanned), 0
			if i := bytes.Index(request[:at], headerTerminator); i >= 0 {
				want = i + len(headerTerminator)
			}
			if got != want {
				t.Fatalf("with %d of %d bytes: %d, want %d", at, len(request), got, want)
			}
			if got > 0 || at == len(request) {
				break
			}
		}
		n := requestOrdinal(request)
		if n < -1 {
			t.Fatalf("ordinal %d", n)
		}
		if n >= 0 && !bytes.Contains(request, fmt.Append(nil, n)) && !bytes.Contains(request, []byte("0")) {
			t.Fatalf("ordinal %d is not in the request", n)
		}
	})
}
