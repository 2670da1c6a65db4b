package scenarios

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// stub is an analyzer that finds the failed requests and does not look any further.
type stub struct {
	name   string
	answer func() Pair
}

// prejudice is what everybody says: it is the firewall.
var prejudice = Pair{Hop: topology.Firewall, Cause: analyzer.SYNDropped}

// trial is the judge's own: whether it finds out who only guesses.
type trial struct {
	seed     uint64
	blind    stub
	mu       sync.Mutex
	share    map[string]float64 // of a scenario's failures, what the blind one is right about
	symptoms map[string]string  // by class, what the first of it looks like
}

func newTrial(seed uint64) *trial {
	return &trial{
		seed:  seed,
		blind: stub{"always the same", func() Pair { return prejudice }},
		share: map[string]float64{}, symptoms: map[string]string{},
	}
}

// random is a stub whose answers on a scenario are the same in whatever order they are heard.
func (j *trial) random(scenario string) stub {
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		panic(err) // it is a constant
	}
	name := fnv.New64()
	io.WriteString(name, scenario)
	rng := rand.New(rand.NewPCG(j.seed, name.Sum64()))
	where, what := hops(&spec), slices.Sorted(maps.Keys(analyzer.Causes))
	return stub{"at random", func() Pair { return Pair{where[rng.IntN(len(where))], what[rng.IntN(len(what))]} }}
}

// hear scores both stubs on a run that is in a directory.
func (j *trial) hear(t *testing.T, s *Scenario, out string, r *Result) {
	if r.Requests.Failed == 0 {
		return // there is nothing to be asked
	}
	truths := readTruths(t, filepath.Join(out, "truth", "requests.ndjson"))
	guesser := j.random(s.Name)
	random := guesser.score(t, truths, out)
	if random.Passed() {
		t.Errorf("%s passes: %s", guesser.name, random.String())
	}
	blind := j.blind.score(t, truths, out)
	right := slices.ContainsFunc(s.Expect, func(e Expectation) bool { return e.Pair == prejudice || slices.Contains(e.Accept, prejudice) })
	if blind.Passed() && !right {
		t.Errorf("%s passes with what is no right answer: %s", j.blind.name, blind.String())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.Class != "" {
		j.compare(t, s.Class, truths, r)
	}
	j.share[s.Name] = float64(blind.Correct+blind.Acceptable) / float64(blind.Failures)
}

// compare sees that a run looks like the others of its class, to the client and in the
// causes of the f5's RSTs, and has failures enough.
func (j *trial) compare(t *testing.T, class string, truths []Truth, r *Result) {
	if n := r.Requests.Failed; n < 10 {
		t.Errorf("%d failures are too few to tell a guess from knowledge", n)
	}
	outcomes := map[client.Outcome]bool{}
	for i := range truths {
		if truths[i].Failed() {
			outcomes[truths[i].Outcome] = true
		}
	}
	said := maps.Clone(r.RSTCauses)
	delete(said, bigip.NoFlowForACK.Text) // to a server that answers when nobody is there any more
	looks := fmt.Sprint(slices.Sorted(maps.Keys(outcomes)), slices.Sorted(maps.Keys(said)))
	if first, known := j.symptoms[class]; known && looks != first {
		t.Errorf("it looks like %s, and others of the class %s like %s", looks, class, first)
	}
	j.symptoms[class] = looks
}

// score lets a stub answer where the real analyzer did.
func (a stub) score(t *testing.T, truths []Truth, out string) Score {
	t.Helper()
	var report analyzer.Report
	readJSON(t, filepath.Join(out, "verdicts.json"), &report)
	for i := range report.Verdicts {
		p := a.answer()
		report.Verdicts[i].Hop, report.Verdicts[i].Cause = p.Hop, p.Cause
	}
	score := ScoreVerdicts(truths, report.Verdicts)
	if sum := score.Correct + score.Acceptable + score.Wrong + score.Inconclusive + score.Missed; sum != score.Failures || score.Failures == 0 {
		t.Errorf("%s: the parts are %d of %d failures: %s", a.name, sum, score.Failures, score.String())
	}
	return score
}

// twins sums up, class by class, how far one gets with one answer.
func (j *trial) twins(t *testing.T, all []*Scenario) {
	classes := map[string][]string{}
	for _, s := range all {
		if s.Class != "" {
			classes[s.Class] = append(classes[s.Class], s.Name)
		}
	}
	for class, names := range classes {
		sum, heard := 0.0, 0
		for _, name := range names {
			if share, was := j.share[name]; was {
				sum, heard = sum+share, heard+1
			}
		}
		if heard < len(names) {
			t.Skipf("%s: %d of %d scenarios were played", class, heard, len(names))
		}
		if share := sum / float64(heard); share > 1.0/8 {
			t.Errorf("%s: always %s %s is right in %.1f %% of the failures of %d twins: %v", class, prejudice.Hop, prejudice.Cause, 100*share, heard, j.share)
		}
	}
}

func readTruths(t *testing.T, file string) (truths []Truth) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		var truth Truth
		if err := json.Unmarshal(lines.Bytes(), &truth); err != nil {
			t.Fatal(err)
		}
		truths = append(truths, truth)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return truths
}

func TestTwinsAreEightAndHaveNoAnswerInCommon(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	by := map[string]map[Pair]string{} // who has an answer, by class
	for _, s := range all {
		if s.Class == "" {
			continue
		}
		count[s.Class]++
		if by[s.Class] == nil {
			by[s.Class] = map[Pair]string{}
		}
		for _, e := range s.Expect {
			for _, p := range append([]Pair{e.Pair}, e.Accept...) {
				if other, taken := by[s.Class][p]; taken && other != s.Name {
					t.Errorf("%s: %s %s is right for %s and for %s", s.Class, p.Hop, p.Cause, other, s.Name)
				}
				by[s.Class][p] = s.Name
			}
		}
	}
	if count["retransmit-timeout"] < 8 {
		t.Errorf("the incident has %d twins, want 8 with itself", count["retransmit-timeout"])
	}
}
