// Package e2e proves that judge = answer: real kernels, real captures, the whole
// way from a scenario to its score.
package e2e

import (
	"os"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/fault"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(preyEnv); dir != "" {
		os.Exit(prey(dir))
	}
	testkit.Main(m)
}

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "hopblame")
}

// A machine that cannot build a lab skips, and says why; any other error fails.
var _ = BeforeEach(func() { testkit.Require(testkit.Lab) })

// Nothing that a spec starts outlives it.
var _ = BeforeEach(testkit.CheckLeaks)

// scenario loads one of the catalogue, with the fast SYN schedule: a failing POST
// hangs for 0.4 s instead of 4.
func scenario(name string) *scenarios.Scenario {
	GinkgoHelper()
	s := testkit.Scenario(name)
	if slices.ContainsFunc(s.Faults, func(f fault.Fault) bool { return f.Resolves() }) {
		return s // so fast all would fail while it lasts, and nothing would be left to compare clocks by
	}
	if harmlessToo(s) {
		return s // whoever gave up so soon would not wait for what is only late
	}
	return testkit.Fast(s)
}

// run plays a scenario; its directory ends with the spec.
func run(ctx SpecContext, s *scenarios.Scenario, o scenarios.Options) (*scenarios.Result, string) {
	GinkgoHelper()
	r := testkit.Run(ctx, s, testkit.Options{Requests: o.Requests, Concurrency: o.Concurrency, Seed: o.Seed, Configure: o.Configure})
	return r.Result, r.Dir
}
