package testkit_test

import (
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/topology"
)

// failingEnv tells the test binary to be a suite of specs that fail, or are skipped, as
// somebody else's would. What becomes of them is looked at by the specs below.
const failingEnv = "HOPBLAME_TESTKIT_FAILING"

// incidentOften is the incident with more failures of fewer requests.
func incidentOften() (*scenarios.Scenario, testkit.Options) {
	s := testkit.Fast(testkit.Scenario("firewall-drops-syn"))
	s.Faults[0].Probability = 0.1
	return s, testkit.Options{Requests: 100, Concurrency: 16}
}

// left are files that nobody closes; without it the garbage collector would.
var left []*os.File

// leave leaves a file open.
func leave() {
	f, err := os.Open(os.DevNull)
	Expect(err).NotTo(HaveOccurred())
	left = append(left, f)
}

// copied sends a text through a proxy at the f5's place, which copies both ways, to a server
// that copies it back.
func copied(ctx SpecContext, text string) string {
	GinkgoHelper()
	spec, err := topology.Standard(topology.IPv4)
	Expect(err).NotTo(HaveOccurred())
	lab, err := topology.Build(ctx, spec)
	Expect(err).NotTo(HaveOccurred())
	at := topology.StandardAddresses(topology.IPv4)
	var open []io.Closer
	connect := func(from, to string, address netip.AddrPort) (near, far *net.TCPConn) {
		l, err := lab.Host(to).Listen(ctx, "tcp", address.String())
		Expect(err).NotTo(HaveOccurred())
		n, err := lab.Host(from).Dial(ctx, "tcp", address.String())
		Expect(err).NotTo(HaveOccurred())
		f, err := l.Accept()
		Expect(err).NotTo(HaveOccurred())
		open = append(open, l, n, f)
		return n.(*net.TCPConn), f.(*net.TCPConn)
	}
	client, clientside := connect(topology.Client, topology.F5, at.VIP)
	serverside, server := connect(topology.F5, topology.Server1, at.Server1)
	var copying sync.WaitGroup
	for _, pair := range [][2]*net.TCPConn{{clientside, serverside}, {serverside, clientside}, {server, server}} {
		copying.Go(func() {
			_, _ = io.Copy(pair[1], pair[0])
			_ = pair[1].CloseWrite()
		})
	}
	_, err = io.WriteString(client, text)
	Expect(err).NotTo(HaveOccurred())
	Expect(client.CloseWrite()).To(Succeed())
	got, err := io.ReadAll(client)
	Expect(err).NotTo(HaveOccurred())
	copying.Wait()
	for _, c := range append(open, lab) {
		Expect(c.Close()).To(Succeed())
	}
	return string(got)
}

// The specs that fail are all there is then.
var _ = func() bool {
	if os.Getenv(failingEnv) == "" {
		return Describe("what becomes of a suite's specs", others)
	}
	return Describe("a suite's spec", func() {
		It("passes", func(ctx SpecContext) {
			s, o := incidentOften()
			Expect(testkit.Run(ctx, s, o)).To(testkit.MatchExpectations(s))
		})
		It("blames the wrong hop", func(ctx SpecContext) {
			s, o := incidentOften()
			Expect(testkit.Run(ctx, s, o)).To(testkit.Blame("server1"))
		})
		It("fails with the catalogue's own scenario", func(ctx SpecContext) {
			seed := uint64(7)
			Expect(testkit.Run(ctx, testkit.Scenario("no-fault"), testkit.Options{Requests: 50, Seed: &seed})).To(testkit.SolveEveryFailure())
		})
		It("fails with what no file can say", func(ctx SpecContext) {
			o := testkit.Options{Requests: 50, Configure: func(*sim.Config) {}}
			Expect(testkit.Run(ctx, testkit.Scenario("no-fault"), o)).To(testkit.SolveEveryFailure())
		})
		It("takes too long", func(ctx SpecContext) {
			testkit.Run(ctx, testkit.Scenario("no-fault"), testkit.Options{Requests: 1_000_000})
		}, SpecTimeout(time.Second))
		It("keeps what failed", func(ctx SpecContext) {
			s, o := incidentOften()
			s.Faults[0].Probability, o.Requests = 0.02, 600
			o.Captures, o.SnapLen = scenarios.KeepFailed, 96
			Expect(testkit.Run(ctx, s, o)).To(testkit.Blame("server1"))
		})
		It("keeps what nobody can tell", func(ctx SpecContext) {
			testkit.Run(ctx, testkit.Scenario("no-fault"), testkit.Options{Captures: "fialed", SnapLen: 5})
		})
		Describe("in order", Ordered, func() {
			var r *testkit.Result
			BeforeAll(func(ctx SpecContext) {
				s, o := incidentOften()
				r = testkit.Run(ctx, s, o)
			})
			It("passes first", func() { Expect(r).To(testkit.BeValid()) })
			It("fails then", func() { Expect(r).To(testkit.Blame("server2")) })
		})
		It("leaves a goroutine", func() {
			testkit.CheckLeaks()
			go func() { select {} }()
		})
		It("leaves a file open", func() {
			testkit.CheckLeaks()
			leave()
		})
		It("cleans up behind itself", func() {
			testkit.CheckLeaks()
			f, err := os.Open(os.DevNull)
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(f.Close)
		})
		It("has a proxy that copies", func(ctx SpecContext) {
			testkit.CheckLeaks()
			Expect(copied(ctx, "hello")).To(Equal("hello"))
		})
		It("leaves a file open behind a proxy that copies", func(ctx SpecContext) {
			Expect(copied(ctx, "hello")).To(Equal("hello"))
			testkit.CheckLeaks()
			leave()
			for range 3 { // takes the pipes that were there before
				runtime.GC()
			}
		})
		It("needs what is not there", func() { testkit.Require(testkit.Lab, testkit.Installed("no-such-program")) })
		It("asks for a scenario that there is not", func() { testkit.Scenario("firewall-drops-synn") })
	})
}()

// playFailing runs those of the specs above whose text matches, with more environment, and
// returns the report of each by its text.
func playFailing(ctx SpecContext, focus, artifacts string, env ...string) map[string]types.SpecReport {
	GinkgoHelper()
	return playAgain(ctx, "go test . -ginkgo.seed=1 -ginkgo.focus='"+focus+"'", artifacts, env...)
}

// playAgain runs what somebody would type in this folder.
func playAgain(ctx SpecContext, command, artifacts string, env ...string) map[string]types.SpecReport {
	GinkgoHelper()
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(GinkgoT().TempDir(), "report.json")
	options, found := strings.CutPrefix(command, "go test . ")
	Expect(found).To(BeTrue(), command)
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+self+" -test.run='^TestTestkit$' -ginkgo.json-report="+file+" "+options)
	cmd.Env = append(os.Environ(), append(env, failingEnv+"=1", testkit.ArtifactsEnv+"="+artifacts)...)
	cmd.Stdout, cmd.Stderr = GinkgoWriter, GinkgoWriter
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	Expect(cmd.Run()).To(MatchError("exit status 1"))
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	var reports []types.Report
	Expect(json.Unmarshal(text, &reports)).To(Succeed())
	byText := map[string]types.SpecReport{}
	for _, spec := range reports[0].SpecReports {
		if spec.NumAttempts > 0 { // it has run
			byText[spec.LeafNodeText] = spec
		}
	}
	return byText
}

// entry is a report entry's text.
func entry(spec types.SpecReport, name string) string {
	GinkgoHelper()
	for _, e := range spec.ReportEntries {
		if e.Name == name {
			return e.StringRepresentation()
		}
	}
	Fail("no entry " + name + " of " + spec.LeafNodeText)
	return ""
}

func hasEntry(spec types.SpecReport, name string) bool {
	return slices.ContainsFunc(spec.ReportEntries, func(e types.ReportEntry) bool { return e.Name == name })
}

// others are the specs that look at those.
func others() {
	It("is in their reports, and in the folder for artefacts", func(ctx SpecContext) {
		testkit.Require(testkit.Lab)
		artifacts := GinkgoT().TempDir()
		specs := playFailing(ctx, "", artifacts, "HOPBLAME_MUST_RUN=0")
		said := func(name string) string { return specs[name].Failure.Message }

		By("nothing is left of a spec that passes")
		Expect(specs["passes"].State).To(Equal(types.SpecStatePassed), said("passes"))
		Expect(filepath.Glob(filepath.Join(artifacts, "*-passes-*"))).To(BeEmpty())
		Expect(specs["cleans up behind itself"].State).To(Equal(types.SpecStatePassed), said("cleans up behind itself"))

		By("one that fails keeps its run, and says where it is and how to play it again")
		wrong := specs["blames the wrong hop"]
		Expect(wrong.State).To(Equal(types.SpecStateFailed))
		kept := entry(wrong, "kept")
		Expect(filepath.Dir(kept)).To(Equal(artifacts))
		Expect(kept).To(ContainSubstring("hopblame-a-suite-s-spec-blames-the-wrong-hop-p1-"))
		recorded, err := scenarios.OpenRecording(filepath.Join(kept, "run"))
		Expect(err).NotTo(HaveOccurred())
		Expect(recorded.Result.Score.Correct).To(BeNumerically(">", 0))
		Expect(wrong.Failure.Message).To(And(
			HavePrefix("Expected firewall-drops-syn, seed "), ContainSubstring("\nbut it blamed firewall for syn-dropped in "),
			MatchRegexp(`─✗ .* SYN, try 1 of 4`), ContainSubstring("✗ died between these points"),
			ContainSubstring("Repeat: hopblame run "+kept+"/run/scenario.yaml --seed "),
			ContainSubstring(" or: go test . -ginkgo.seed=1 -ginkgo.focus=' a suite'\\''s spec blames the wrong hop$'"),
			ContainSubstring("Files: "+kept+"/run")))
		Expect(entry(wrong, "seed")).To(HaveSuffix(" of firewall-drops-syn"))
		Expect(entry(wrong, "repeat")).To(ContainSubstring("scenario.yaml"))
		Expect(hasEntry(wrong, "ladder")).To(BeFalse(), "the same twice")
		Expect(said("fails with the catalogue's own scenario")).To(ContainSubstring("Repeat: hopblame run no-fault --seed 7 --requests 50 --concurrency "))
		Expect(said("fails with what no file can say")).To(ContainSubstring("Repeat: go test . "))

		By("of captures it keeps as much as was asked for, and says so in the command")
		less := specs["keeps what failed"]
		Expect(entry(less, "repeat")).To(MatchRegexp(`(?m)^hopblame run .* --concurrency 16 --captures failed --snaplen 96$`))
		captures, err := observe.Load(filepath.Join(entry(less, "kept"), "run"))
		Expect(err).NotTo(HaveOccurred())
		recorded, err = scenarios.OpenRecording(filepath.Join(entry(less, "kept"), "run"))
		Expect(err).NotTo(HaveOccurred())
		atClient := captures.Point("client/eth0").Frames
		Expect(len(atClient)).To(And(BeNumerically(">", 0), BeNumerically("<", recorded.Result.Captures[0].Packets)))
		Expect(atClient).To(HaveEach(HaveField("Data", WithTransform(func(b []byte) int { return len(b) }, BeNumerically("<=", 96)))))
		Expect(said("keeps what nobody can tell")).To(ContainSubstring(`captures "fialed": must be all or failed; did you mean "failed"?`))

		By("what it says plays it again, and nothing else; of an ordered container all of it")
		for name, ran := range map[string]int{"fails with what no file can say": 1, "passes first": 2} {
			commands := strings.Split(entry(specs[name], "repeat"), "\n")
			again := playAgain(ctx, commands[len(commands)-1], artifacts)
			Expect(again).To(And(HaveLen(ran), HaveKey(name)))
			Expect(entry(again[name], "seed")).To(Equal(entry(specs[name], "seed")))
		}
		Expect(specs["fails then"].State).To(Equal(types.SpecStateFailed))
		Expect(entry(specs["fails then"], "kept")).To(ContainSubstring("hopblame-a-suite-s-spec-in-order-p1-"))

		By("one that is stopped says what was played")
		Expect(specs["takes too long"].State).To(Equal(types.SpecStateTimedout))
		Expect(entry(specs["takes too long"], "seed")).To(HaveSuffix(" of no-fault"))
		Expect(specs["takes too long"].Failure.AdditionalFailure.Failure.Message).To(HaveSuffix(
			"before 1,000,000 requests had been played and judged: give the spec a longer SpecTimeout, or Options fewer Requests"))
		Expect(hasEntry(specs["takes too long"], "kept")).To(BeFalse())
		Expect(filepath.Glob(filepath.Join(artifacts, "*-takes-too-long-*"))).To(BeEmpty(), "files of a run without a result")

		By("one that leaves something behind fails")
		Expect(said("leaves a goroutine")).To(ContainSubstring("leak"))
		for _, leaving := range []string{"leaves a file open", "leaves a file open behind a proxy that copies"} {
			Expect(said(leaving)).To(And(ContainSubstring("left open"), ContainSubstring(os.DevNull)))
		}
		Expect(specs["has a proxy that copies"].State).To(Equal(types.SpecStatePassed), said("has a proxy that copies"))

		By("one that cannot be played is skipped, and says why")
		lacking := specs["needs what is not there"]
		Expect(lacking.State).To(Equal(types.SpecStateSkipped))
		Expect(lacking.Failure.Message).To(HavePrefix("running no-such-program is not possible on this machine: it is not installed; fix: install it"))
		Expect(said("asks for a scenario that there is not")).To(HavePrefix(`no scenario "firewall-drops-synn"; did you mean "firewall-drops-syn"?`))
	}, SpecTimeout(5*time.Minute))

	It("is a failure, where nothing may be skipped and one would be", func(ctx SpecContext) {
		lacking := playFailing(ctx, "needs what", GinkgoT().TempDir(), "HOPBLAME_MUST_RUN=1")["needs what is not there"]
		Expect(lacking.State).To(Equal(types.SpecStateFailed))
		Expect(strings.Split(lacking.Failure.Message, "\n")).To(ContainElement("HOPBLAME_MUST_RUN=1: nothing may be skipped here"))
	}, SpecTimeout(5*time.Minute))
}
