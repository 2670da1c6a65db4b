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

var _ = Describe("HAProxy", func() {
	// play plays a scenario of which a share of the connections is hit, through HAProxy.
	play := func(ctx SpecContext, s *scenarios.Scenario, share float64) *testkit.Result {
		GinkgoHelper()
		for i := range s.Faults {
			s.Faults[i].Probability = share
		}
		return testkit.Run(ctx, s, testkit.Options{Requests: 300, Concurrency: 16, Proxy: testkit.ProxyProgram(haproxy)})
	}

	It("answers every request when nothing is broken", func(ctx SpecContext) {
		s := testkit.Scenario("no-fault")
		r := play(ctx, s, 0)
		Expect(r.Requests.OK).To(Equal(300))
		Expect(r).To(testkit.MatchExpectations(s))
	}, SpecTimeout(time.Minute))

	It("is not blamed for the SYNs that the firewall drops", func(ctx SpecContext) {
		r := play(ctx, testkit.Scenario("firewall-drops-syn"), 0.05)
		Expect(r).To(testkit.BeValid())
		Expect(r).To(testkit.Blame("firewall").For("syn-dropped").Share(0.9))
		Expect(r).NotTo(testkit.Blame("f5"))
	}, SpecTimeout(time.Minute))

	DescribeTable("lets the hop be found where a connection dies", func(ctx SpecContext, s *scenarios.Scenario) {
		Expect(play(ctx, s, 0.05)).To(testkit.SolveEveryFailure())
	}, testkit.Entries(testkit.Catalogue("link-drops-syn-before-firewall", "firewall-drops-syn-ack"), SpecTimeout(time.Minute)))
})
