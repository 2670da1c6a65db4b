package train

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
)

func TestEveryCauseIsExplained(t *testing.T) {
	for c := range analyzer.Causes {
		if c != analyzer.Inconclusive && Meaning(c) == "" {
			t.Errorf("words/en/causes.txt lacks %s", c)
		}
	}
	for c := range maps.Keys(meanings()) {
		if !c.Valid() {
			t.Errorf("words/en/causes.txt explains %s, which is no cause", c)
		}
	}
}

func TestTextsAreGolden(t *testing.T) {
	all := exercises(t)
	few := slices.DeleteFunc(slices.Clone(all), func(s *scenarios.Scenario) bool {
		return !slices.Contains([]string{"firewall-drops-syn", "server-ignores-syn", "link-drops-syn-after-firewall", "f5-no-pool"}, s.Name)
	})
	for name, text := range map[string]func() (string, error){
		"sheet.golden": func() (string, error) { return Sheet(few, 2026, 3) },
		"list.golden":  func() (string, error) { return List(few) },
		"names.golden": func() (string, error) { return Names(few) },
	} {
		got, err := text()
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, got)
	}
	if words, err := Words(); err != nil || !strings.Contains(words, "syn-dropped            the SYN went in and did not come out\n") {
		t.Errorf("%v; the words are\n%s", err, words)
	}
	list, err := List(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if strings.Contains(list, s.Name) {
			t.Errorf("the list names %s", s.Name)
		}
	}
}

func TestTheTicketIsTheCustomers(t *testing.T) {
	r := result()
	start := time.Date(2026, 11, 22, 20, 57, 9, 1e8, time.UTC)
	for i := range 5 {
		r.Truths = append(r.Truths, scenarios.Truth{Ordinal: i, Client: netip.MustParseAddrPort("198.18.50.88:40000"), Start: start.Add(time.Duration(i) * time.Second), Duration: 4.0512, Outcome: client.Reset})
	}
	r.Truths[1].Outcome = client.OK
	r.Truths[2].Outcome, r.Truths[2].Status = client.Error, 503
	r.Requests.Failed = 4
	got, err := writeTicket(r, []analyzer.Point{{File: "captures/client-eth0.pcapng", Hop: "client", Face: "eth0"}}, Options{Dir: "DIR"}, true)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "ticket.golden", got)
	bare, err := writeTicket(r, nil, Options{Bare: true}, true)
	if err != nil || !strings.Contains(bare, "TICKET") || strings.Contains(bare, "hopblame") {
		t.Errorf("a ticket without the command line (%v):\n%s", err, bare)
	}
}

func TestWrap(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for line := range strings.Lines(wrap("    ", long)) {
		if !strings.HasPrefix(line, "    word") || len(strings.TrimSuffix(line, "\n")) > textWidth {
			t.Errorf("%q", line)
		}
	}
	if got := wrap("  ", " a\n b "); got != "  a b" {
		t.Errorf("got %q", got)
	}
}

// The symptom is all that a trainee reads of a scenario.
func TestNoSymptomNamesItsScenarioOrCause(t *testing.T) {
	for _, s := range exercises(t) {
		for _, word := range []string{s.Name, string(causeOf(s)), s.Title} {
			if strings.Contains(strings.ToLower(s.Symptom), strings.ToLower(word)) {
				t.Errorf("%s: the symptom says %q", s.Name, word)
			}
		}
	}
}
