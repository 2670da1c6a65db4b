// Package suite is a Ginkgo suite of a module that is not hopblame's: a real HAProxy stands
// in the f5's place, the network around it is broken in known places, and an analyzer that
// sees only captures has to tell who did it.
package suite

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
)

func TestMain(m *testing.M) { testkit.Main(m) } // no root needed, and nothing left behind

func TestHAProxy(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "HAProxy")
}

var _ = BeforeEach(func() { testkit.Require(testkit.Installed("haproxy")) })

// broken is a scenario of the catalogue of which one connection in twenty is hit: of so few
// requests some are to fail.
func broken(s *scenarios.Scenario) *scenarios.Scenario {
	for i := range s.Faults {
		s.Faults[i].Probability = 0.05
	}
	return s
}

// options put HAProxy in the f5's place.
func options() testkit.Options {
	return testkit.Options{Requests: 300, Concurrency: 16, Proxy: testkit.ProxyProgram(haproxy)}
}

var _ = Describe("HAProxy", func() {
	It("answers every request when nothing is broken", func(ctx SpecContext) {
		s := testkit.Scenario("no-fault")
		r := testkit.Run(ctx, s, options())
		Expect(r.Requests.OK).To(Equal(300))
		Expect(r).To(testkit.MatchExpectations(s))
	}, SpecTimeout(time.Minute))

	It("is not blamed for the SYNs that the firewall drops", func(ctx SpecContext) {
		r := testkit.Run(ctx, broken(testkit.Scenario("firewall-drops-syn")), options())
		Expect(r).To(testkit.BeValid())
		Expect(r).To(testkit.Blame("firewall").For("syn-dropped"))
	}, SpecTimeout(time.Minute))

	DescribeTable("lets the hop be found where a connection dies", func(ctx SpecContext, s *scenarios.Scenario) {
		r := testkit.Run(ctx, broken(s), options())
		Expect(r).To(testkit.SolveEveryFailure())
		Expect(r).NotTo(testkit.Blame("f5"))
	}, testkit.Entries(testkit.Catalogue("link-drops-syn-before-firewall", "firewall-drops-syn-ack", "server-ignores-syn"), SpecTimeout(time.Minute)))
})
