package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
)

// artifactsEnv names the folder that what is worth keeping is put into; "" keeps nothing.
const artifactsEnv = "HOPBLAME_ARTIFACTS"

// played is what became of a scenario: the value of a spec's report entry.
type played struct {
	Scenario string
	Class    string
	Family   topology.Family
	Score    scenarios.Score
	Verdicts map[string]int // by hop and cause, with a tab between them
}

// playedEntry is the name of such entries.
const playedEntry = "played"

// note puts a run into the table.
func note(s *scenarios.Scenario, r *scenarios.Result) {
	p := played{Scenario: s.Name, Class: s.Class, Family: s.Lab.Family, Score: r.Score, Verdicts: map[string]int{}}
	for _, v := range r.Report.Verdicts {
		p.Verdicts[v.Hop+"\t"+string(v.Cause)]++
	}
	AddReportEntry(playedEntry, p, ReportEntryVisibilityNever)
}

// The table has one line for each hop and cause that a scenario's failures were given.
var _ = ReportAfterSuite("the table of scenarios, hops and causes", func(report Report) {
	runs := playedIn(report)
	if len(runs) == 0 {
		return
	}
	text := tableOf(runs) + "\n" + hopsOf(runs)
	fmt.Print("\n" + text)
	if dir := os.Getenv(artifactsEnv); dir != "" {
		Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "catalogue.txt"), []byte(text), 0o644)).To(Succeed())
	}
})

// playedIn collects the entries of all processes' specs, by scenario and family. What
// another process has added comes as JSON.
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
	slices.SortFunc(runs, func(a, b played) int {
		return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.Family, b.Family))
	})
	return runs
}

// tableOf is the table proper: how many failures of a scenario were blamed on what, with
// either IP version, and what the judge says of it.
func tableOf(runs []played) string {
	type line struct{ scenario, class, blamed string }
	counts, verdict := map[line]map[topology.Family]int{}, map[string]string{}
	for _, p := range runs {
		if !p.Score.Passed() {
			verdict[p.Scenario] = "FAILED"
		}
		if len(p.Verdicts) == 0 {
			p.Verdicts = map[string]int{"-\t-": 0}
		}
		for blamed, n := range p.Verdicts {
			if strings.HasPrefix(blamed, "\t") {
				blamed = "?" + blamed
			}
			l := line{p.Scenario, p.Class, blamed}
			if counts[l] == nil {
				counts[l] = map[topology.Family]int{}
			}
			counts[l][p.Family] += n
		}
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SCENARIO\tHOP\tCAUSE\tIPV4\tIPV6\tSCORE\tCLASS")
	for _, l := range slices.SortedFunc(maps.Keys(counts), func(a, b line) int {
		return cmp.Or(cmp.Compare(a.scenario, b.scenario), cmp.Compare(a.blamed, b.blamed))
	}) {
		score := verdict[l.scenario]
		if score == "" {
			score = "right"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", l.scenario, l.blamed,
			counts[l][topology.IPv4], counts[l][topology.IPv6], score, l.class)
	}
	w.Flush()
	return b.String()
}

// hopsOf says of every hop which causes were named there, and which were nowhere.
func hopsOf(runs []played) string {
	causes := map[string]map[string]bool{}
	for _, p := range runs {
		for blamed := range p.Verdicts {
			hop, cause, _ := strings.Cut(blamed, "\t")
			if hop == "" {
				hop = "?"
			}
			if causes[hop] == nil {
				causes[hop] = map[string]bool{}
			}
			causes[hop][cause] = true
		}
	}
	named := map[string]bool{string(analyzer.Inconclusive): true}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, hop := range slices.Sorted(maps.Keys(causes)) {
		list := slices.Sorted(maps.Keys(causes[hop]))
		fmt.Fprintf(w, "%s\t%s\n", hop, strings.Join(list, ", "))
		for _, c := range list {
			named[c] = true
		}
	}
	w.Flush()
	var none []string
	for _, c := range slices.Sorted(maps.Keys(analyzer.Causes)) {
		if !named[string(c)] {
			none = append(none, string(c))
		}
	}
	if len(none) > 0 {
		fmt.Fprintf(&b, "in no scenario that was played: %s\n", strings.Join(none, ", "))
	}
	return b.String()
}

var _ = Describe("the table of scenarios, hops and causes", func() {
	runs := []played{
		{Scenario: "a", Class: "x", Family: topology.IPv4, Verdicts: map[string]int{"firewall\tsyn-dropped": 3, "\tinconclusive": 1}},
		{Scenario: "a", Class: "x", Family: topology.IPv6, Verdicts: map[string]int{"firewall\tsyn-dropped": 4}},
		{Scenario: "b", Family: topology.IPv4, Verdicts: map[string]int{"server1\tapp-reset": 2}, Score: scenarios.Score{Wrong: 2}},
		{Scenario: "c", Family: topology.IPv4},
	}

	It("has a line for each hop and cause of a scenario, with both IP versions", func() {
		Expect(fieldsOf(tableOf(runs))).To(Equal([]string{"SCENARIO HOP CAUSE IPV4 IPV6 SCORE CLASS",
			"a ? inconclusive 1 0 right x", "a firewall syn-dropped 3 4 right x", "b server1 app-reset 2 0 FAILED", "c - - 0 0 right"}))
	})

	It("says which causes were named at a hop, and which at none", func() {
		lines := fieldsOf(hopsOf(runs))
		Expect(lines[:3]).To(Equal([]string{"? inconclusive", "firewall syn-dropped", "server1 app-reset"}))
		Expect(lines[3]).To(HavePrefix("in no scenario that was played: ack-dropped, app-error, app-silent,"))
	})
})

// fieldsOf are the lines of a table with one blank between its columns.
func fieldsOf(text string) (lines []string) {
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}
