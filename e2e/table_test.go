package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// played is what became of a scenario: the value of a spec's report entry.
type played struct {
	Scenario  string
	Class     string
	Family    topology.Family
	Truth     []blamed // of its failures
	Undecided int      // of them, those whose verdict names nothing
	Passed    bool
}

// blamed is a right answer, and how many failures have it.
type blamed struct {
	scenarios.Pair
	Failures int
}

// playedEntry is the name of such entries.
const playedEntry = "played"

// note puts a run, which is in a directory, into the table.
func note(s *scenarios.Scenario, r *scenarios.Result, dir string) {
	GinkgoHelper()
	p := played{Scenario: s.Name, Class: s.Class, Family: s.Lab.Family, Passed: r.Valid && r.Score.Passed()}
	failures := map[scenarios.Pair]int{}
	f, err := os.Open(filepath.Join(dir, "truth", "requests.ndjson"))
	Expect(err).NotTo(HaveOccurred())
	defer f.Close()
	for lines := json.NewDecoder(f); ; {
		var t scenarios.Truth
		if err := lines.Decode(&t); errors.Is(err, io.EOF) {
			break
		} else {
			Expect(err).NotTo(HaveOccurred())
		}
		if t.Failed() && len(t.Accept) > 0 {
			failures[t.Accept[0]]++
		}
	}
	for pair, n := range failures {
		p.Truth = append(p.Truth, blamed{pair, n})
	}
	for _, v := range r.Report.Verdicts {
		if v.Cause == analyzer.Inconclusive {
			p.Undecided++
		}
	}
	AddReportEntry(playedEntry, p, ReportEntryVisibilityNever)
}

// expectNoGuess sees that the judge finds out who answers at random, one right answer of the
// catalogue or another, to what the analyzer has answered. Of very few failures a guess may
// be right about all.
func expectNoGuess(r *scenarios.Result) {
	GinkgoHelper()
	if r.Requests.Failed < 5 {
		return
	}
	all, err := scenarios.All()
	Expect(err).NotTo(HaveOccurred())
	var answers []scenarios.Pair
	for _, s := range all {
		for _, e := range s.Expect {
			answers = append(answers, e.Pair)
		}
	}
	guesses := rand.New(rand.NewPCG(r.Seed, 0))
	verdicts := slices.Clone(r.Report.Verdicts)
	for i := range verdicts {
		guess := answers[guesses.IntN(len(answers))]
		verdicts[i].Hop, verdicts[i].Cause = guess.Hop, guess.Cause
	}
	score := scenarios.ScoreVerdicts(r.Truths, verdicts)
	Expect(score.Passed()).To(BeFalse(), "who guesses passes: %s", score.String())
}

// The table has one line for each hop and cause that a scenario's failures are to be
// blamed on.
var _ = ReportAfterSuite("the table of scenarios, hops and causes", func(report Report) {
	runs := playedIn(report)
	if len(runs) == 0 {
		return
	}
	text := tableOf(runs) + "\n" + hopsOf(runs)
	fmt.Print("\n" + text)
	if dir := os.Getenv(testkit.ArtifactsEnv); dir != "" {
		Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "catalogue.txt"), []byte(text), 0o644)).To(Succeed())
	}
})

// playedIn collects the entries of all processes' specs, which come as JSON from another
// process.
func playedIn(report Report) (runs []played) {
	for _, spec := range report.SpecReports {
		for _, e := range spec.ReportEntries {
			if e.Name != playedEntry {
				continue
			}
			b, err := json.Marshal(e.Value.GetRawValue())
			Expect(err).NotTo(HaveOccurred())
			var p played
			Expect(json.Unmarshal(b, &p)).To(Succeed())
			runs = append(runs, p)
		}
	}
	return runs
}

// tableOf is the table proper: the failures of each scenario by hop and cause, with either
// IP version (– where it was not played), and what the judge says of their verdicts.
func tableOf(runs []played) string {
	type line struct {
		scenario string
		pair     scenarios.Pair
	}
	failures, class, verdict := map[line]map[topology.Family]int{}, map[string]string{}, map[string]string{}
	type with struct {
		scenario string
		family   topology.Family
	}
	was := map[with]bool{}
	for _, p := range runs {
		class[p.Scenario], was[with{p.Scenario, p.Family}] = p.Class, true
		switch {
		case !p.Passed:
			verdict[p.Scenario] = "FAILED"
		case p.Undecided > 0 && verdict[p.Scenario] == "":
			verdict[p.Scenario] = "right or undecided"
		}
		if len(p.Truth) == 0 {
			p.Truth = []blamed{{scenarios.Pair{Hop: "-", Cause: "-"}, 0}}
		}
		for _, b := range p.Truth {
			l := line{p.Scenario, b.Pair}
			if failures[l] == nil {
				failures[l] = map[topology.Family]int{}
			}
			failures[l][p.Family] += b.Failures
		}
	}
	count := func(l line, f topology.Family) string {
		if !was[with{l.scenario, f}] {
			return "–"
		}
		return strconv.Itoa(failures[l][f])
	}
	return aligned(func(w io.Writer) {
		fmt.Fprintln(w, "SCENARIO\tHOP\tCAUSE\tIPV4\tIPV6\tVERDICTS\tCLASS")
		for _, l := range slices.SortedFunc(maps.Keys(failures), func(a, b line) int {
			return cmp.Or(cmp.Compare(a.scenario, b.scenario), cmp.Compare(a.pair.Hop, b.pair.Hop), cmp.Compare(a.pair.Cause, b.pair.Cause))
		}) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.scenario, l.pair.Hop, l.pair.Cause,
				count(l, topology.IPv4), count(l, topology.IPv6), cmp.Or(verdict[l.scenario], "right"), class[l.scenario])
		}
	})
}

// hopsOf says of every hop what goes wrong there, and what went wrong nowhere.
func hopsOf(runs []played) string {
	causes, none := map[string]map[analyzer.Cause]bool{}, maps.Clone(analyzer.Causes)
	delete(none, analyzer.Inconclusive)
	for _, p := range runs {
		for _, b := range p.Truth {
			if causes[b.Hop] == nil {
				causes[b.Hop] = map[analyzer.Cause]bool{}
			}
			causes[b.Hop][b.Cause] = true
			delete(none, b.Cause)
		}
	}
	return aligned(func(w io.Writer) {
		for _, hop := range slices.Sorted(maps.Keys(causes)) {
			fmt.Fprintf(w, "%s\t%s\n", hop, list(causes[hop]))
		}
		if len(none) > 0 {
			fmt.Fprintf(w, "nowhere\t%s\n", list(none))
		}
	})
}

// list is a set of causes in words.
func list[V any](causes map[analyzer.Cause]V) string {
	var words []string
	for _, c := range slices.Sorted(maps.Keys(causes)) {
		words = append(words, string(c))
	}
	return strings.Join(words, ", ")
}

// aligned is text in columns, without blanks at the ends of lines.
func aligned(write func(io.Writer)) string {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	write(w)
	w.Flush() // into memory, which does not fail
	var text strings.Builder
	for line := range strings.Lines(b.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return text.String()
}

var _ = Describe("the table of scenarios, hops and causes", func() {
	at := func(hop string, cause analyzer.Cause, n int) blamed {
		return blamed{scenarios.Pair{Hop: hop, Cause: cause}, n}
	}
	runs := []played{
		{Scenario: "b", Family: topology.IPv4, Truth: []blamed{at("server1", analyzer.AppReset, 2)}},
		{Scenario: "a", Class: "x", Family: topology.IPv4, Truth: []blamed{at("server2", analyzer.NoAnswer, 1), at("firewall", analyzer.SYNDropped, 3)}, Undecided: 1, Passed: true},
		{Scenario: "a", Class: "x", Family: topology.IPv6, Truth: []blamed{at("firewall", analyzer.SYNDropped, 4)}, Passed: true},
		{Scenario: "c", Family: topology.IPv4, Passed: true},
	}

	It("has a line for each hop and cause of a scenario, with both IP versions", func() {
		Expect(tableOf(runs)).To(Equal(strings.Join([]string{
			"SCENARIO  HOP       CAUSE        IPV4  IPV6  VERDICTS            CLASS",
			"a         firewall  syn-dropped  3     4     right or undecided  x",
			"a         server2   no-answer    1     0     right or undecided  x",
			"b         server1   app-reset    2     –     FAILED",
			"c         -         -            0     –     right",
			""}, "\n")))
	})

	It("says what goes wrong at a hop, and what went wrong at none", func() {
		lines := strings.Split(hopsOf(runs), "\n")
		Expect(lines[:3]).To(Equal([]string{"firewall  syn-dropped", "server1   app-reset", "server2   no-answer"}))
		Expect(lines[3]).To(HavePrefix("nowhere   ack-dropped, app-error, app-silent,"))
	})
})
