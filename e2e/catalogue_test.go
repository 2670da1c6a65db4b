package e2e

import (
	"fmt"
	"hash/crc32"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"

	"time"
)

// sighted is what a client and the f5 show of a failure.
type sighted struct {
	outcome analyzer.Outcome
	rst     string // what the f5's RST says; "" where it sends none
	own     bool   // it speaks of the f5 itself, and not of the other half
}

// unexplained is a RST of the f5's kernel, whose trailer says nothing.
const unexplained = "unexplained"

// sightings are those of the scenarios in which not the f5's SYNs are lost.
var sightings = map[string]sighted{
	"firewall-drops-rst":           {analyzer.Reset, "TCP keep-alive timeout", false},
	"firewall-rejects-syn":         {analyzer.Reset, "TCP RST from remote system", false},
	"link-delays-response":         {analyzer.Timeout, "", false},
	"link-injects-rst-to-server":   {analyzer.Reset, "TCP RST from remote system", false},
	"link-injects-rst-with-care":   {analyzer.Reset, "TCP RST from remote system", false},
	"link-injects-rst":             {analyzer.Reset, "TCP RST from remote system", false},
	"server-port-closed":           {analyzer.Reset, "TCP RST from remote system", false},
	"server-resets":                {analyzer.Reset, "TCP RST from remote system", false},
	"server-dies-mid-response":     {analyzer.Reset, "TCP RST from remote system", false},
	"server-cuts-response":         {analyzer.Truncated, "", false},
	"server-never-reads":           {analyzer.Reset, "TCP zero window timeout", false},
	"server-stays-silent":          {analyzer.Timeout, "", false},
	"server-answers-503":           {analyzer.Error, "", false},
	"server-answers-503-deferred":  {analyzer.Error, "", false},
	"client-aborts":                {analyzer.Timeout, "", false},
	"client-distrusts-certificate": {analyzer.TLSError, "SSL alert received", true},
	"firewall-drops-keep-alive":    {analyzer.Reset, "TCP keep-alive timeout", false},
	"f5-bad-request":               {analyzer.Reset, "HTTP internal error (bad state transition)", true},
	"f5-header-too-large":          {analyzer.Reset, "HTTP header (32768) exceeded maximum allowed size of 32768", true},
	"f5-no-flow-for-ack":           {analyzer.Reset, "No flow found for ACK", true},
	"f5-no-local-listener":         {analyzer.Refused, "No local listener", true},
	"f5-tls-bad-record":            {analyzer.Reset, "Bad SSL record", true},
	"f5-tls-handshake-timeout":     {analyzer.Reset, "SSL handshake timeout exceeded", true},
	"f5-tls-no-shared-cipher":      {analyzer.Reset, "No shared ciphers between SSL peers", true},
	"f5-zero-window":               {analyzer.Reset, "TCP zero window timeout", true},
	"firewall-forgets-slow-server": {analyzer.Reset, "TCP keep-alive timeout", false},
	"server-dies-mid-response-h2":  {analyzer.Reset, "", false},
	"firewall-drops-syn-h2":        {analyzer.Reset, "", false},
	"capture-h2-without-keys":      {analyzer.Unknown, "", false},
	"f5-connection-limit":          {analyzer.Reset, "Connection limit exceeded", true},
	"f5-idle-timeout":              {analyzer.Reset, "Flow expired (sweeper)", true},
	"f5-idle-timeout-slow-server":  {analyzer.Reset, "Flow expired (sweeper)", true},
	"f5-no-pool":                   {analyzer.Reset, "No server selected", true},
	"f5-no-snat-address":           {analyzer.Reset, "No available SNAT addr", true},
	"f5-too-many-headers":          {analyzer.Reset, "HTTP header count exceeded maximum allowed count of 64", true},
	"f5-no-pool-member":            {analyzer.Reset, "No pool member available", true},
	"f5-fastl4-no-member":          {analyzer.Refused, "No pool member available", true},
	"firewall-drops-syn-fastl4":    {analyzer.Refused, "handshake timeout", false},
	"f5-no-route":                  {analyzer.Reset, "No route to host", true},
	"f5-rule-rejects":              {analyzer.Reset, "iRule execution (reject command)", true},
	"f5-snat-ports-exhausted":      {analyzer.Reset, "Unable to obtain local port", true},
	"f5-virtual-server-disabled":   {analyzer.Refused, "No local listener", true},
	"f5-virtual-server-down":       {analyzer.Refused, "VIP down", true},
	"f5-virtual-server-rejects":    {analyzer.Refused, "Policy action", true},
	"client-gives-up":              {analyzer.Timeout, "", false},

	// In answer to the FIN of a client that has given up:
	"firewall-drops-response": {analyzer.Reset, "TCP RST from remote system", false},
	// Between client and f5:
	"link-corrupts-data-before-f5":      {analyzer.Truncated, "", true},
	"link-drops-data-before-f5":         {analyzer.Reset, "Flow expired (sweeper)", true},
	"link-drops-keep-alive-before-f5":   {analyzer.Reset, unexplained, true}, // the server is told why
	"link-drops-response-before-client": {analyzer.Timeout, "", true},
	"link-drops-syn-ack-before-client":  {analyzer.Timeout, "", true},
	"link-drops-syn-before-f5":          {analyzer.Timeout, "", true},
}

// entries is the catalogue, once for each IP version.
func entries() (list []TableEntry) {
	all, err := scenarios.All()
	if err != nil {
		panic(err) // at tree construction there is no spec to fail
	}
	for _, s := range all {
		if len(s.Observe.Faults) > 0 {
			continue // observer_test.go has them
		}
		var can []topology.Family
		for _, f := range []topology.Family{topology.IPv4, topology.IPv6} {
			if s.Lab.Family = f; s.Validate() != nil || f == topology.IPv6 && s.Name == "f5-no-snat-address" {
				continue // it names an address of the other family, or means to
			}
			can = append(can, f)
		}
		for i, f := range versions(s, can...) {
			list = append(list, Entry(s.Name+" "+string(f), s.Name, f, labels(s, f, i == 0), SpecTimeout(time.Minute)))
		}
	}
	return list
}

var _ = DescribeTable("every failure of a scenario is blamed on the right hop, in a valid run",
	func(ctx SpecContext, name string, family topology.Family) {
		s := scenario(name)
		s.Lab.Family = family
		seed := uint64(crc32.ChecksumIEEE(fmt.Append(nil, GinkgoRandomSeed(), name, family)))
		r, dir := run(ctx, s, scenarios.Options{Requests: enough(s, seed), Seed: &seed})
		note(s, r, dir)
		expectNoGuess(r)

		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Valid).To(BeTrue())
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
		Expect(r.Score.Correct + r.Score.Acceptable).To(Equal(r.Requests.Failed))
		foreseen := !s.Firewall.Limited() && s.F5.SNAT.Ports == 0 && !harmlessToo(s) && !slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return !f.Foreseeable() })
		if foreseen && len(s.Faults) > 0 && len(s.Expect) > 0 { // else it is a hop's own doing, and chance; or it harms nobody
			Expect(r.Ledger.Planned).To(HaveValue(Equal(r.Requests.Failed)))
		}
		if _, listed := sightings[name]; listed && family == topology.IPv4 {
			Expect(causesByTshark(ctx, dir)).To(Equal(r.RSTCauses), "the causes of the f5's RSTs, as tshark reads them")
		}
		for _, p := range r.Report.Points {
			if slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Do == fault.Detour }) {
				break // some of what came to the hop did not come by this face
			}
			Expect(p.Loss[0]).To(BeZero(), "the capture at %s has every packet, as its tap proved; the analyzer says that it misses %v of them", p.Name, p.Loss)
		}
		if len(s.Expect) == 0 {
			Expect(r.Report.Verdicts).To(BeEmpty())
			return
		}
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))
		var answers []scenarios.Pair
		for _, e := range s.Expect {
			answers = append(append(answers, e.Pair), undecided(e.Accept)...)
		}
		want, listed := sightings[name]
		if !listed {
			want = sighted{analyzer.Reset, "TCP retransmit timeout", false}
		}
		for _, v := range r.Report.Verdicts {
			Expect(answers).To(ContainElement(scenarios.Pair{Hop: v.Hop, Cause: v.Cause}))
			Expect(v.Outcome).To(Equal(want.outcome))
			if want.rst == "" {
				Expect(v.RST).To(BeNil())
			} else {
				Expect(v.RST).To(Equal(&analyzer.RST{By: "f5", Cause: strings.TrimPrefix(want.rst, unexplained), Peer: !want.own}))
			}
			Expect(v.Evidence).NotTo(BeEmpty())
			if (v.Hop != "" || !harmlessToo(s)) && !want.own && !slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Acts() }) {
				Expect(len(v.Eliminated)).To(BeNumerically(">=", 3), "the other hypotheses of the incident")
			}
		}
	}, entries())

// harmlessToo tells whether a scenario has delays or disorder beside the faults that lose requests.
func harmlessToo(s *scenarios.Scenario) bool {
	return slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Harmless() }) &&
		slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return !f.Harmless() })
}

// undecided is the answer that the captures do not decide, where that is right.
func undecided(accepted []scenarios.Pair) []scenarios.Pair {
	return slices.DeleteFunc(slices.Clone(accepted), func(p scenarios.Pair) bool { return p.Cause != analyzer.Inconclusive })
}

// enough is how many requests show a scenario's failures: some dozen of them where
// packets are lost, fewer where tshark's second opinion or TLS make each dear. A seed that
// spares all of so few, as one in two thousand does, gets more to spare.
func enough(s *scenarios.Scenario, seed uint64) int {
	GinkgoHelper()
	c := s.Config(seed)
	for c.Requests = some(s); ; c.Requests *= 2 {
		planned, predictable, err := c.Plan()
		Expect(err).NotTo(HaveOccurred())
		if len(planned) > 0 || !predictable || len(s.Expect) == 0 || c.Requests >= s.Traffic.Requests {
			return c.Requests
		}
	}
}

// some are as many requests as show failures with nearly any seed.
func some(s *scenarios.Scenario) int {
	switch {
	case s.Firewall.Stateful(), slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Do == fault.RateLimit }):
		return min(s.Traffic.Requests, 4000) // so many fill a table, or come round
	case len(s.Faults) == 0 && len(s.Expect) > 0:
		return 600
	case slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Probability == 1 && f.Match == fault.SYN && !f.Timed() }):
		return 400 // every second one
	case s.Traffic.Protocol.Secure(), sightings[s.Name] != sighted{}:
		return 1200
	}
	return 4000
}

// causesByTshark counts the f5's RSTs by the cause that tshark finds in the trailer. The
// peer flag is that of the report's RST, which is compared for each verdict.
func causesByTshark(ctx SpecContext, dir string) bigip.Counts {
	GinkgoHelper()
	counts := bigip.Counts{}
	if _, err := exec.LookPath("tshark"); err != nil {
		Skip("tshark is not installed (Debian: apt-get install tshark)")
	}
	rows := tshark(ctx, filepath.Join(dir, "captures", "f5-0.0.pcapng"), "f5ethtrailer.rstcauselen > 0", "f5ethtrailer.rstcausetxt")
	for _, row := range rows {
		counts[row[0]]++
	}
	return counts
}
