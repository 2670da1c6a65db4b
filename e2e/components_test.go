package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// components puts HAProxy, nginx and curl in the places of ours, their files below
// a directory; started is told of the proxy.
func components(c *sim.Config, dir string, retries int, started func(*haproxy)) {
	c.Proxy = proxyWithHAProxy(dir, retries, started)
	c.Server = serveWithNginx(dir)
	c.Send = sendInParallelWithCurl
}

// synLost takes SYNs at a place, by the hash of their tuple.
func synLost(at string, p float64) fault.Fault {
	return fault.Fault{Name: "lost", At: at, Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: fault.PerTuple, Probability: p}
}

// synAckLost takes their answers.
func synAckLost(at string, p float64) fault.Fault {
	f := synLost(at, p)
	f.Direction, f.Match = fault.ToClient, fault.SYNACK
	return f
}

// playComponents plays one fault with components that are not ours and returns the
// proxy's log with the result.
func playComponents(ctx SpecContext, c row, retries int) (*scenarios.Result, []logLine) {
	GinkgoHelper()
	testkit.Require(testkit.Installed("haproxy", "nginx", "curl"))
	s := scenario(c.base)
	s.Lab.Family, s.Faults = c.family, []fault.Fault{c.fault}
	var proxy *haproxy
	dir := GinkgoT().TempDir()
	r, _ := run(ctx, s, scenarios.Options{Requests: c.requests, Concurrency: c.concurrency, Configure: func(config *sim.Config) {
		components(config, dir, retries, func(h *haproxy) { proxy = h })
	}})
	Expect(r.InvalidBecause).To(BeEmpty())
	Expect(r.Ledger.Planned).To(BeNil(), "which ports another proxy takes is not known before")
	return r, proxy.log
}

// expectRightAnswers holds the verdicts against the truth by HAProxy's log: none
// wrong, and a share of them named.
func expectRightAnswers(r *scenarios.Result, log []logLine, named float64) {
	GinkgoHelper()
	failed := map[int]bool{}
	for _, l := range log {
		if l.state == "sC" {
			Expect(l.status).To(Equal(503))
			Expect(l.connect).To(BeNumerically("<", 0), "a connection that came about")
			failed[l.ordinal] = true
		}
	}
	Expect(failed).NotTo(BeEmpty())
	Expect(len(log)).To(Equal(r.Requests.Sent), "a line for each request")
	for _, t := range r.Truths {
		Expect(t.Failed()).To(Equal(failed[t.Ordinal]), "request %d, by the client and by HAProxy", t.Ordinal)
		if t.Failed() {
			Expect(t.Outcome).To(Equal(client.Error))
			Expect(t.Primary).NotTo(BeNil())
		}
	}
	Expect(r.Score.Wrong+r.Score.Missed+r.Score.FalseAlarms).To(BeZero(), "%s: %+v", r.Score.String(), r.Score.Errors)
	Expect(float64(r.Score.Correct)).To(BeNumerically(">=", named*float64(r.Score.Failures)), "%s: %+v", r.Score.String(), r.Score.Errors)
}

// row is a place where connections die, for the table below.
type row struct {
	base        string // the scenario with the right answers
	family      topology.Family
	fault       fault.Fault
	requests    int
	concurrency int
	named       float64 // at least this share of the failures, and none wrong
}

func deaths(base string, f fault.Fault) row {
	return row{base: base, fault: f, requests: 400, concurrency: 32, named: 0.9}
}

func (r row) inIPv6() row { r.family = topology.IPv6; return r }

// oneByOne leaves no doubt which unanswered connection was whose.
func (r row) oneByOne() row { r.requests, r.concurrency = 150, 1; return r }

// doubtful is for requests that come in bursts and die on different segments:
// where no trailer ties one side to the other, and the connections carry nothing
// yet, only their times do. One that cannot be told must be inconclusive.
func (r row) doubtful() row { r.named = 0; return r }

var _ = DescribeTable("with HAProxy, nginx and curl, where a connection dies is found",
	func(ctx SpecContext, c row) {
		r, log := playComponents(ctx, c, 0)
		expectRightAnswers(r, log, c.named)
	},
	Entry("when the link before the firewall loses the SYN",
		deaths("link-drops-syn-before-firewall", synLost("link:f5-firewall", 0.04)), SpecTimeout(time.Minute)),
	Entry("when the firewall does not forward the SYN",
		deaths("firewall-drops-syn", synLost("firewall", 0.04)), Label(rootless), SpecTimeout(time.Minute)),
	Entry("when the firewall does not forward the SYN, in IPv6",
		deaths("firewall-drops-syn", synLost("firewall", 0.04)).inIPv6(), Label(rootless), SpecTimeout(time.Minute)),
	Entry("when the link to a server loses the SYN",
		deaths("link-drops-syn-after-firewall", synLost("link:switch-server2", 0.08)), SpecTimeout(time.Minute)),
	Entry("when the link to both servers loses the SYN",
		deaths("link-drops-syn-after-firewall", synLost("link:firewall-switch", 0.08)).oneByOne(), SpecTimeout(time.Minute)),
	Entry("when the link to both servers loses the SYN, of requests in bursts",
		deaths("link-drops-syn-after-firewall", synLost("link:firewall-switch", 0.04)).doubtful(), SpecTimeout(time.Minute)),
	Entry("when a server ignores the SYN",
		deaths("server-ignores-syn", synLost("server2", 0.08)), SpecTimeout(time.Minute)),
	Entry("when the firewall does not let the SYN-ACK back",
		deaths("firewall-drops-syn-ack", synAckLost("firewall", 0.04)), SpecTimeout(time.Minute)),
	Entry("when the link from a server loses the SYN-ACK",
		deaths("link-drops-syn-ack", synAckLost("link:switch-server1", 0.08)), SpecTimeout(time.Minute)),
	Entry("when the link from both servers loses the SYN-ACK, of requests in bursts",
		deaths("link-drops-syn-ack", synAckLost("link:firewall-switch", 0.04)).doubtful(), SpecTimeout(time.Minute)),
)

var _ = It("with HAProxy that tries another server, only requests that failed in the end are blamed on anybody", func(ctx SpecContext) {
	const retries = 2
	// At one half a request fails three times in one case of eight.
	c := deaths("firewall-drops-syn", synLost("firewall", 0.5))
	c.requests = 160
	r, log := playComponents(ctx, c, retries)
	again, elsewhere, rescued := 0, 0, 0
	for _, l := range log {
		if l.retries > 0 {
			again++
		}
		if l.redispatched {
			elsewhere++
		}
		if l.retries > 0 && l.status == 200 {
			rescued++
		}
		if l.status == 503 {
			Expect(l.retries).To(Equal(retries))
		}
	}
	Expect(again).To(BeNumerically(">", 20))
	Expect(elsewhere).To(Equal(again))
	Expect(rescued).To(BeNumerically(">", 20))
	expectRightAnswers(r, log, c.named)
}, SpecTimeout(time.Minute))
