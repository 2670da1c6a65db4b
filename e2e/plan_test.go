package e2e

import (
	"strconv"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/fault"
)

// failedOrdinals are the requests that failed at the client, in order.
func failedOrdinals(r *scenarios.Result) (list []int) {
	for _, t := range r.Truths {
		if t.Failed() {
			list = append(list, t.Ordinal)
		}
	}
	return list
}

// plannedOrdinals are those that the plan names.
func plannedOrdinals(s *scenarios.Scenario, o scenarios.Options) (list []int) {
	c := s.With(o).Config(*o.Seed)
	planned, predictable, err := c.Plan()
	Expect(err).NotTo(HaveOccurred())
	Expect(predictable).To(BeTrue())
	for _, p := range planned {
		list = append(list, p.Ordinal)
	}
	return list
}

var _ = Describe("the plan", func() {
	for _, concurrency := range []int{1, 16, 512} {
		It("names the requests that fail at concurrency "+strconv.Itoa(concurrency), func(ctx SpecContext) {
			seed := uint64(7)
			o := scenarios.Options{Requests: 2000, Concurrency: concurrency, Seed: &seed}
			s := scenario("firewall-drops-syn")
			r, _ := run(ctx, s, o)
			Expect(r.InvalidBecause).To(BeEmpty())
			Expect(failedOrdinals(r)).To(Equal(plannedOrdinals(s, o)))
			Expect(failedOrdinals(r)).To(HaveLen(10), "the plan itself does not change")
		}, SpecTimeout(2*time.Minute))
	}

	It("holds for a fault per tuple, where the kernel's hash decides", Label(rootless), func(ctx SpecContext) {
		seed := uint64(7)
		o := scenarios.Options{Requests: 4000, Seed: &seed}
		s := scenario("firewall-drops-syn")
		s.Faults[0].Per, s.Faults[0].Probability = fault.PerTuple, 0.01
		r, _ := run(ctx, s, o)
		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(failedOrdinals(r)).NotTo(BeEmpty())
		Expect(failedOrdinals(r)).To(Equal(plannedOrdinals(s, o)))
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
	}, SpecTimeout(time.Minute))

	It("is not made for a fault per packet, whose packets are counted all the same", Label(rootless), func(ctx SpecContext) {
		s := scenario("firewall-drops-syn")
		s.Faults[0].Per, s.Faults[0].Probability = fault.PerPacket, 0.5
		r, _ := run(ctx, s, scenarios.Options{Requests: 1000})
		Expect(r.InvalidBecause).To(BeEmpty())
		Expect(r.Ledger.Planned).To(BeNil())
		Expect(r.Ledger.Packets).To(BeNumerically(">", 400))
		Expect(r.Score.Passed()).To(BeTrue(), r.Score.String())
	}, SpecTimeout(time.Minute))

	It("is exact at the ends: all fail, or none", func(ctx SpecContext) {
		for p, failed := range map[float64]int{0: 0, 1: 200} {
			s := scenario("firewall-drops-syn")
			s.Faults[0].Probability = p
			r, _ := run(ctx, s, scenarios.Options{Requests: 200})
			Expect(r.InvalidBecause).To(BeEmpty())
			Expect(r.Requests.Failed).To(Equal(failed))
			// When nothing at all gets through, nothing proves that the
			// capture behind the firewall was listening: to name the firewall
			// then would be a guess.
			Expect(r.Score.Wrong+r.Score.Missed+r.Score.FalseAlarms).To(BeZero(), r.Score.String())
			for _, v := range r.Report.Verdicts {
				Expect(v.Cause).To(Equal(analyzer.Inconclusive))
				Expect(v.WouldSettle).To(ContainSubstring("firewall"))
			}
		}
	}, SpecTimeout(time.Minute))
})
