package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// More of curl's exit codes (man curl).
const (
	curlRefused = 7
	curlTimeout = 28
	curlEmpty   = 52
)

// curlRequest is one request of a batch in curl's configuration language. What is
// written at its end goes to stderr, which no buffer delays.
const curlRequest = `url = "http://%s/batch"
silent
globoff
noproxy = "*"
max-time = 20
output = "/dev/null"
header = "X-Request-ID: %d"
header = "Connection: close"
data = "{\"record\":%d}"
write-out = "%%{stderr}%d %%{local_port} %%{http_code} %%{exitcode} %%{time_total}\n"
`

// sendInParallelWithCurl sends the batch with one curl, a connection for each
// request.
func sendInParallelWithCurl(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
	var config bytes.Buffer
	for o := range b.Requests {
		if o > 0 {
			config.WriteString("next\n")
		}
		fmt.Fprintf(&config, curlRequest, b.Server, o, o, o)
	}
	w := &curlRecords{local: b.Local}
	c := from.Command(ctx, "curl", "--no-progress-meter", "--parallel", "--parallel-immediate", "--parallel-max", fmt.Sprint(b.Concurrency), "--config", "-")
	c.Stdin, c.Stderr = &config, w
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) { // its exit code is that of one request
		return nil, err
	}
	if w.err == nil && len(w.records) != b.Requests {
		w.err = fmt.Errorf("curl told of %d requests, sent were %d", len(w.records), b.Requests)
	}
	slices.SortFunc(w.records, func(a, b client.Record) int { return a.Ordinal - b.Ordinal })
	return w.records, w.err
}

// curlRecords makes a record of each line that curl writes, as it writes it.
type curlRecords struct {
	local   netip.Addr
	partial []byte
	records []client.Record
	err     error
}

func (w *curlRecords) Write(p []byte) (int, error) {
	w.partial = append(w.partial, p...)
	for {
		line, rest, whole := bytes.Cut(w.partial, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		r, err := curlRecord(string(line), w.local, time.Now())
		w.records, w.err, w.partial = append(w.records, r), errors.Join(w.err, err), rest
	}
}

// curlRecord reads a line in the form of [curlRequest]'s write-out.
func curlRecord(line string, local netip.Addr, end time.Time) (r client.Record, err error) {
	var port uint16
	var exit int
	var total float64
	if _, err := fmt.Sscan(line, &r.Ordinal, &port, &r.Status, &exit, &total); err != nil {
		return r, fmt.Errorf("curl said %q: %w", strings.TrimSpace(line), err)
	}
	r.Local, r.End = netip.AddrPortFrom(local, port), end
	r.Start = end.Add(-time.Duration(total * float64(time.Second)))
	outcomes := map[int]client.Outcome{0: client.OK, curlRefused: client.Refused, curlTimeout: client.Timeout,
		curlEmpty: client.Truncated, curlRecvError: client.Reset}
	var known bool
	if r.Outcome, known = outcomes[exit]; !known {
		r.Outcome, r.Detail = client.Local, fmt.Sprintf("curl's exit code is %d", exit)
	} else if exit == 0 && r.Status >= 500 {
		r.Outcome, r.Detail = client.Error, fmt.Sprint(r.Status)
	}
	return r, nil
}
