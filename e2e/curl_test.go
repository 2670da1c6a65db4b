package e2e

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"net/netip"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// curl's exit code when the server resets the connection (CURLE_RECV_ERROR).
const curlRecvError = 56

// sendWithCurl sends the batch with curl, one process a request, as the script of
// the incident did.
func sendWithCurl(ctx context.Context, from *topology.Host, b client.Batch) ([]client.Record, error) {
	var records []client.Record
	for o := range b.Requests {
		r := client.Record{Ordinal: o, Start: time.Now(), Outcome: client.OK}
		c := from.Command(ctx, "curl", "--silent", "--show-error", "--noproxy", "*", "--output", "/dev/null",
			"--write-out", "%{local_port} %{http_code}", "--header", "X-Request-ID: "+strconv.Itoa(o),
			"--data", `{"record":`+strconv.Itoa(o)+`}`, "http://"+b.Server.String()+"/batch")
		out, err := c.Output()
		r.End = time.Now()
		var exit *exec.ExitError
		switch {
		case errors.As(err, &exit) && exit.ExitCode() == curlRecvError:
			r.Outcome = client.Reset
		case err != nil:
			return nil, err
		}
		localPort, status, _ := strings.Cut(string(out), " ")
		p, err := strconv.ParseUint(localPort, 10, 16)
		if err != nil {
			return nil, err
		}
		r.Local = netip.AddrPortFrom(b.Local, uint16(p))
		r.Status, _ = strconv.Atoi(status) // 000 when there was no response
		records = append(records, r)
	}
	return records, nil
}

var _ = It("takes real curl as the client", Label(rootless), func(ctx SpecContext) {
	testkit.Require(testkit.Installed("curl"))
	s := scenario("firewall-drops-syn")
	s.Faults[0].Probability = 0.2
	seed := uint64(1)
	o := scenarios.Options{Requests: 40, Seed: &seed, Configure: func(c *sim.Config) { c.Send = sendWithCurl }}
	r, _ := run(ctx, s, o)
	Expect(r.InvalidBecause).To(BeEmpty())
	Expect(r.Requests.Failed).To(BeNumerically(">", 0))
	Expect(failedOrdinals(r)).To(Equal(plannedOrdinals(s, o)))
	Expect(r.Score.Correct).To(Equal(r.Requests.Failed), r.Score.String())
	Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
}, SpecTimeout(time.Minute))
