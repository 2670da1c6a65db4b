package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// responseBytes is as much of a response as is kept: its header.
const responseBytes = 8 << 10

// response is what has come of an HTTP/1.1 response that ends with its connection.
type response struct {
	in       []byte // as far as it is kept: up to its capacity
	received int    // bytes
	status   int
}

// add takes what was read.
func (r *response) add(b []byte) {
	r.received += len(b)
	r.in = append(r.in, b[:min(len(b), cap(r.in)-len(r.in))]...)
}

var headerTerminator = []byte("\r\n\r\n")

// verdict judges the response once the server has closed.
func (r *response) verdict() Outcome {
	head, _, complete := bytes.Cut(r.in, headerTerminator)
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.")) {
		if len(r.in) == 0 {
			return Truncated // closed without a word
		}
		return Error
	}
	status, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return Error
	}
	r.status = status
	switch length := contentLength(rest); {
	case !complete || length > r.received-len(head)-len(headerTerminator):
		return Truncated
	case status >= 500:
		return Error
	}
	return OK
}

// overdue judges the response when the client waits no longer for the connection's end: one
// that has all the length it announced needs none (RFC 9112 §6.3).
func (r *response) overdue() Outcome {
	head, _, complete := bytes.Cut(r.in, headerTerminator)
	if n := contentLength(head); complete && n > 0 && r.received >= len(head)+len(headerTerminator)+n {
		return r.verdict()
	}
	r.verdict() // for the status, if there was one
	return Timeout
}

// contentLength reads the length the response announced; 0 if it did not.
func contentLength(header []byte) int {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok && bytes.EqualFold(name, []byte("Content-Length")) {
			n, _ := strconv.Atoi(string(bytes.TrimSpace(value)))
			return n
		}
	}
	return 0
}

// streamError has the form of the error that [net/http] gives for RST_STREAM
// (RFC 9113 §6.4), which it converts to any type that has (h2_error.go).
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "the stream was reset" }

// outcomeOf says what an error means for a request. A refused connection is told from
// a reset one by how far it had come, a [connectError], not by where the error surfaced.
func outcomeOf(err error) Outcome {
	var connect *connectError
	var op *net.OpError
	var record tls.RecordHeaderError
	var distrust *tls.CertificateVerificationError
	var errno unix.Errno
	switch {
	case errors.Is(err, unix.ECONNREFUSED) && errors.As(err, &connect):
		return Refused
	case errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNREFUSED), errors.As(err, new(streamError)):
		return Reset
	case errors.Is(err, unix.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.As(err, &record), errors.As(err, &distrust), errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"): // alerts, crypto/tls calls them
		return TLS
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Truncated
	case errors.As(err, &errno):
		return Local
	}
	return Error
}
