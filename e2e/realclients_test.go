package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/sim/backend"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
)

// wholeF5 is our proxy with its capture, in a lab that nothing is broken in.
type wholeF5 struct {
	*topology.Lab
	topology.Addresses
	proxy   *bigip.Proxy
	session *capture.Session
}

// startF5 starts all that a client may want. It ends with the spec.
func startF5(ctx SpecContext, family topology.Family, profiles ...bigip.Profile) *wholeF5 {
	GinkgoHelper()
	spec, err := topology.Standard(family)
	Expect(err).NotTo(HaveOccurred())
	f := &wholeF5{Addresses: topology.StandardAddresses(family)}
	f.Lab, err = topology.Build(ctx, spec)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(f.Lab.Close)
	pool := bigip.Pool{Members: []bigip.Member{{Name: topology.Server1, Address: f.Server1}, {Name: topology.Server2, Address: f.Server2}}}
	for _, m := range pool.Members {
		s, err := backend.Start(ctx, f.Host(m.Name), m.Address, backend.Habits{})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(s.Close)
	}
	host := f.Host(topology.F5)
	f.proxy, err = bigip.Start(host, bigip.Config{
		VirtualServer: bigip.VirtualServer{Name: "/Common/vs", Destination: f.VIP, Profiles: profiles}, Pool: pool, SNAT: bigip.SNAT{SelfIP: f.SNAT},
	}, bigip.Hooks{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { f.close() })
	f.session, err = capture.Start([]capture.Point{{Hop: topology.F5, Face: "0.0", Side: capture.Both,
		Taps:          []capture.Tap{{Host: host, Interface: topology.External, VLAN: bigip.ClientsideVLAN}, {Host: host, Interface: topology.Internal, VLAN: bigip.ServersideVLAN}},
		AppendTrailer: f.proxy.Table().AppendTrailer}},
		func(*capture.Point) (io.WriteCloser, error) { return nowhere{io.Discard}, nil },
		func(err error) { defer GinkgoRecover(); Fail("the capture broke off: " + err.Error()) })
	if err != nil {
		f.session = nil
	}
	Expect(err).NotTo(HaveOccurred())
	return f
}

// nowhere is a file that nobody reads.
type nowhere struct{ io.Writer }

func (nowhere) Close() error { return nil }

// close ends the proxy and its capture and returns the flows that there were.
func (f *wholeF5) close() (flows []*bigip.Flow) {
	GinkgoHelper()
	var err error
	if f.proxy != nil {
		flows, err = f.proxy.Close()
		f.proxy = nil
		Expect(err).NotTo(HaveOccurred())
	}
	if f.session != nil {
		_, err = f.session.Stop()
		f.session = nil
		Expect(err).NotTo(HaveOccurred())
	}
	return flows
}

// load is what a load generator says of its requests.
type load struct {
	requests, succeeded int
	failed              int // connections refused or broken, time-outs, answers that are not 2xx
}

// run runs a load generator at the client and reads its report.
func (f *wholeF5) run(ctx SpecContext, report *regexp.Regexp, name string, args ...string) (l load) {
	GinkgoHelper()
	out, err := f.Host(topology.Client).Command(ctx, name, args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	m := report.FindStringSubmatch(string(out))
	Expect(m).NotTo(BeNil(), "%s's report: %s", name, out)
	for i, of := range report.SubexpNames() {
		n, _ := strconv.Atoi(m[i])
		switch of {
		case "requests":
			l.requests = n
		case "ok":
			l.succeeded = n
		case "failed":
			l.failed += n
		}
	}
	return l
}

// wrkScript has wrk count every answer that is not 2xx, which it does itself from 400
// on only, and report in one line.
const wrkScript = `local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() ok, other = 0, 0 end
function response(status) if status >= 200 and status < 300 then ok = ok + 1 else other = other + 1 end end
function done(summary)
	local ok, other, e = 0, 0, summary.errors
	for _, t in ipairs(threads) do ok, other = ok + t:get("ok"), other + t:get("other") end
	print(string.format("report: %d ok %d other %d connect %d read %d write %d timeout %d",
		summary.requests, ok, other, e.connect, e.read, e.write, e.timeout))
end
`

var wrkReport = regexp.MustCompile(`report: (?P<requests>\d+) ok (?P<ok>\d+) other (?P<failed>\d+) ` +
	`connect (?P<failed>\d+) read (?P<failed>\d+) write (?P<failed>\d+) timeout (?P<failed>\d+)`)

// wrk keeps a number of connections busy for two seconds. That all is answered is
// asked for, not how fast.
func wrk(ctx SpecContext, f *wholeF5, connections int) load {
	GinkgoHelper()
	script := filepath.Join(GinkgoT().TempDir(), "report.lua")
	Expect(os.WriteFile(script, []byte(wrkScript), 0o644)).To(Succeed())
	return f.run(ctx, wrkReport, "wrk", "-t2", "-c"+strconv.Itoa(connections), "-d2s", "--timeout=30s", "-s", script, "http://"+f.VIP.String()+"/batch")
}

var h2loadReport = regexp.MustCompile(`requests: \d+ total, \d+ started, (?P<requests>\d+) done, \d+ succeeded, (?P<failed>\d+) failed, (?P<failed>\d+) errored, (?P<failed>\d+) timeout
status codes: (?P<ok>\d+) 2xx, (?P<failed>\d+) 3xx, (?P<failed>\d+) 4xx, (?P<failed>\d+) 5xx`)

// h2load sends a number of requests in HTTP/1.1.
func h2load(ctx SpecContext, f *wholeF5, connections int) load {
	GinkgoHelper()
	return f.run(ctx, h2loadReport, "h2load", "--h1", "--clients="+strconv.Itoa(connections), "--requests=5000", "http://"+f.VIP.String()+"/batch")
}

// A load generator's connections stay open, and each has a serverside one of its own
// as long as it does.
var _ = DescribeTable("a load generator gets an answer to each request, and leaves nothing at the f5",
	func(ctx SpecContext, program string, generate func(SpecContext, *wholeF5, int) load, family topology.Family) {
		testkit.Require(testkit.Installed(program))
		f := startF5(ctx, family)
		before := len(testkit.OpenFiles())
		const connections = 24
		l := generate(ctx, f, connections)
		Expect(l.failed).To(BeZero(), "%+v", l)
		Expect(l.requests).To(BeNumerically(">", 100*connections), "too few to have kept the connections open")
		Expect(l.succeeded).To(Equal(l.requests))
		Eventually(func() int { return len(testkit.OpenFiles()) }).WithTimeout(5*time.Second).Should(BeNumerically("<=", before), "connections that the f5 has left open")

		table := f.proxy.Table()
		proxy := f.proxy
		flows := f.close()
		Expect(flows).To(HaveLen(connections))
		for _, flow := range flows {
			Expect(flow.Tries).To(Equal(1), "%+v", flow)
			Expect(flow.Connected).NotTo(BeZero(), "%+v", flow)
			Expect(flow.Closed).NotTo(BeZero(), "%+v", flow)
			Expect(flow.Reset).To(BeEmpty(), "%+v", flow)
		}
		for _, r := range proxy.Resets() { // wrk leaves in the middle of its last requests
			Expect(fmt.Sprint(r.Serverside, r.Cause.Text)).To(Equal(fmt.Sprint(true, bigip.RemoteReset.Text)))
		}
		Expect(table.Entries(time.Now())).To(BeNumerically("<=", 2*connections))
		Expect(table.Entries(time.Now().Add(time.Minute))).To(BeZero(), "flows that the table has kept")
	},
	Entry("wrk", "wrk", wrk, topology.IPv4, SpecTimeout(time.Minute)),
	Entry("wrk, in IPv6", "wrk", wrk, topology.IPv6, Label(rootless), SpecTimeout(time.Minute)),
	Entry("h2load, in HTTP/1.1", "h2load", h2load, topology.IPv4, Label(rootless), SpecTimeout(time.Minute)),
)
