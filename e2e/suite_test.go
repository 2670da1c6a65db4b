// Package e2e proves that judge = answer: real kernels, real captures, the whole
// way from a scenario to its score.
package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(preyEnv); dir != "" {
		os.Exit(prey(dir))
	}
	topology.Main(m)
}

func TestE2E(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "hopblame")
}

// A machine that cannot build a lab skips, and says why; any other error fails.
var _ = BeforeEach(func(ctx SpecContext) {
	spec, err := topology.Standard(topology.IPv4)
	Expect(err).NotTo(HaveOccurred())
	lab, err := topology.Build(ctx, spec)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		Skip(unsupported.Error())
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(lab.Close()).To(Succeed())
})

// Nothing that a spec starts outlives it.
var _ = BeforeEach(func() {
	before := descriptors()
	DeferCleanup(func() {
		Eventually(descriptors).WithTimeout(5*time.Second).Should(BeNumerically("<=", before), "descriptors left open")
		Eventually(strayThreads).WithTimeout(5*time.Second).Should(BeEmpty(), "threads left in a lab's namespace")
	})
})

func descriptors() int {
	fds, err := os.ReadDir("/proc/self/fd")
	Expect(err).NotTo(HaveOccurred())
	return len(fds)
}

// strayThreads lists threads outside the process's own network namespace.
func strayThreads() (strays []string) {
	home, err := os.Readlink("/proc/self/ns/net")
	Expect(err).NotTo(HaveOccurred())
	tasks, err := filepath.Glob("/proc/self/task/*/ns/net")
	Expect(err).NotTo(HaveOccurred())
	for _, task := range tasks {
		if at, err := os.Readlink(task); err == nil && at != home {
			strays = append(strays, task)
		}
	}
	return strays
}

// scenario loads one of the catalogue, with the fast SYN schedule: a failing POST
// hangs for 0.4 s instead of 4.
func scenario(name string) *scenarios.Scenario {
	GinkgoHelper()
	s, err := scenarios.Find(name)
	Expect(err).NotTo(HaveOccurred())
	p := &s.F5.Serverside // its other timers are what the scenario is about
	p.SYNMaxRetrans, p.SYNRTOBase, p.SYNBackoff = bigip.Fast.SYNMaxRetrans, bigip.Fast.SYNRTOBase, bigip.Fast.SYNBackoff
	p.MaxRetrans, p.MinimumRTO = bigip.Fast.MaxRetrans, bigip.Fast.MinimumRTO
	return s
}

// run plays a scenario; its directory ends with the spec.
func run(ctx SpecContext, s *scenarios.Scenario, o scenarios.Options) (*scenarios.Result, string) {
	GinkgoHelper()
	if o.Seed == nil {
		seed := uint64(GinkgoRandomSeed())
		o.Seed = &seed
	}
	o.Out = GinkgoT().TempDir()
	r, err := scenarios.Run(ctx, s, o)
	Expect(err).NotTo(HaveOccurred())
	AddReportEntry("repeat", repeatCommand(r), ReportEntryVisibilityFailureOrVerbose)
	return r, o.Out
}
