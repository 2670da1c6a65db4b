package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// view is what the captures let one know of the incident.
type view struct {
	least float64 // share of the failures that must be blamed on the firewall
	most  float64 // that can be
	// cause is what the f5's RST says; "" where its capture no longer does.
	cause string
	// last is the last point that has the SYN, of the verdicts that are inconclusive, and
	// settle is in what would settle them; "" where they are not all of one kind.
	last, settle string
	// quiet: of some failures the client has enough by itself, without a RST.
	quiet bool
	// partly: the f5's own capture lacks some of its RSTs; who has sent these is not known.
	partly bool
}

const (
	timedOut = "TCP retransmit timeout"
	inside   = "firewall/feth11" // where all SYNs of the incident are
)

// views are those of the scenarios with faults of the observer.
var views = map[string]view{
	"capture-loses-packets":        {least: 0, most: 1, cause: timedOut, last: inside, settle: "firewall/feth10"},
	"capture-point-missing":        {least: 0, most: 0, cause: timedOut, last: inside, settle: "a capture on firewall's server-facing interface"},
	"capture-clock-steps":          {least: 0, most: 1, cause: timedOut, last: inside, settle: "its clock was set"},
	"capture-clocks-disagree":      {least: 0.9, most: 1, cause: timedOut, last: inside},
	"capture-snaplen":              {least: 0.9, most: 1, last: inside},
	"capture-one-direction":        {least: 0, most: 0, cause: timedOut, last: inside, settle: "firewall/feth10"},
	"capture-without-trailers":     {least: 0.9, most: 1, last: inside},
	"capture-ends-early":           {least: 0, most: 0.9, cause: timedOut, last: inside, settle: "firewall-feth10.pcapng, which is cut off"},
	"capture-starts-late":          {least: 0, most: 1, cause: timedOut, last: inside, settle: "firewall/feth10"},
	"capture-duplicates":           {least: 1, most: 1, cause: timedOut, last: inside},
	"capture-blind-at-servers":     {least: 0, most: 0.9, cause: timedOut},
	"capture-snaplen-two-faults":   {least: 0, most: 0.9},
	"capture-snaplen-hides-damage": {least: 0, most: 0, cause: timedOut},
	"capture-nobody-at-servers":    {least: 0, most: 0, cause: timedOut, settle: "a capture on"},
	"capture-loses-at-client":      {}, // nothing fails

	"capture-clocks-disagree-backwards": {least: 1, most: 1, cause: timedOut},
	"capture-tls-without-trailers":      {least: 1, most: 1},
	"capture-doubled-at-servers":        {least: 1, most: 1, cause: timedOut},
	"capture-fastl4-one-side":           {least: 0, most: 0, settle: "its RST comes long"},
	"capture-snaplen-silent-server":     {least: 0, most: 0.9, quiet: true},
	"capture-loses-at-f5":               {least: 0.5, most: 1, partly: true},
	"capture-nobody-at-f5":              {least: 0, most: 0.9, partly: true},
	"capture-nobody-at-client":          {least: 1, most: 1},
	"capture-bursts-at-f5":              {least: 0.3, most: 1, cause: timedOut, partly: true},
	"capture-misses-syns-at-f5":         {least: 0.5, most: 1, cause: timedOut, partly: true},
}

// observed is each scenario with faults of the observer, once for each IP version.
func observed() (list []TableEntry) {
	all, err := scenarios.All()
	if err != nil {
		panic(err) // at tree construction there is no spec to fail
	}
	for _, s := range all {
		if len(s.Observe.Faults) == 0 {
			continue
		}
		for i, f := range versions(s, topology.IPv4, topology.IPv6) {
			list = append(list, Entry(s.Name+" "+string(f), s.Name, f, labels(s, f, i == 0), SpecTimeout(time.Minute)))
		}
	}
	return list
}

var _ = DescribeTable("what the captures lack leaves verdicts open, and makes none wrong, in a valid run",
	func(ctx SpecContext, name string, family topology.Family) {
		Expect(views).To(HaveKey(name))
		want, s := views[name], scenario(name)
		s.Lab.Family = family
		r, dir := run(ctx, s, scenarios.Options{})
		note(s, r, dir)
		expectNoGuess(r)

		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Valid).To(BeTrue())
		Expect(r.Observers).NotTo(BeEmpty())
		if s.F5.SNAT.Ports == 0 && !harmlessToo(s) { // else it is chance as well, or harms nobody
			Expect(r.Ledger.Planned).To(HaveValue(Equal(r.Requests.Failed)))
		}
		if len(s.Expect) == 0 {
			Expect(r.Requests.Failed).To(BeZero())
			Expect(r.Report.Verdicts).To(BeEmpty())
			return
		}
		Expect(r.Requests.Failed).To(BeNumerically(">", 0))
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
		Expect(r.Score.Correct + r.Score.Acceptable).To(Equal(r.Requests.Failed))
		Expect(float64(r.Score.Correct)).To(And(BeNumerically(">=", want.least*float64(r.Requests.Failed)),
			BeNumerically("<=", want.most*float64(r.Requests.Failed))), r.Score.String())
		for _, v := range r.Report.Verdicts {
			outcome := analyzer.Reset
			if s.F5.VirtualServer.Type == bigip.FastL4 { // the client's own handshake is refused
				outcome = analyzer.Refused
			}
			rst := HaveValue(Equal(analyzer.RST{By: "f5", Cause: want.cause, Peer: want.cause != ""}))
			if want.partly {
				rst = Or(rst, HaveValue(Equal(analyzer.RST{})))
			}
			if want.quiet && v.RST == nil {
				outcome, rst = analyzer.Timeout, BeNil()
			}
			Expect(v.Outcome).To(Equal(outcome))
			Expect(v.RST).To(rst)
			Expect(v.Evidence).NotTo(BeEmpty())
			if v.Cause == analyzer.Inconclusive {
				if want.last != "" {
					Expect(v.Between).To(HaveLen(2))
					Expect(v.Between[0]).To(Equal(want.last))
				}
				Expect(v.WouldSettle).To(ContainSubstring(want.settle))
			}
		}
	}, observed())
