package train

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/client"
)

func TestEveryCauseIsExplained(t *testing.T) {
	for _, lang := range locale.Tags {
		for c := range analyzer.Causes {
			if c != analyzer.Inconclusive && Meaning(lang, c) == "" {
				t.Errorf("words/%s/causes.txt lacks %s", lang, c)
			}
		}
		for c := range maps.Keys(meanings(lang)) {
			if !c.Valid() {
				t.Errorf("words/%s/causes.txt explains %s, which is no cause", lang, c)
			}
		}
	}
}

func TestTextsAreGolden(t *testing.T) {
	all := exercises(t)
	few := slices.DeleteFunc(slices.Clone(all), func(s *scenarios.Scenario) bool {
		return !slices.Contains([]string{"firewall-drops-syn", "server-ignores-syn", "link-drops-syn-after-firewall", "f5-no-pool"}, s.Name)
	})
	inEveryLanguage(t, func(t *testing.T, lang, of string) {
		for name, text := range map[string]func() (string, error){
			"sheet": func() (string, error) { return Sheet(lang, few, 2026, 3) },
			"list":  func() (string, error) { return List(lang, few) },
			"names": func() (string, error) { return Names(lang, few) },
		} {
			got, err := text()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+of, got)
		}
	})
	if words, err := Words("zh-Hans"); err != nil || !strings.Contains(words, "syn-dropped            SYN 进去了，没有出来\n") {
		t.Errorf("%v; the words are\n%s", err, words)
	}
	if words, err := Words("en"); err != nil || !strings.Contains(words, "syn-dropped            the SYN went in and did not come out\n") {
		t.Errorf("%v; the words are\n%s", err, words)
	}
	list, err := List("en", all)
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
	r.Played = find(t, "firewall-drops-syn")
	start := time.Date(2026, 11, 22, 20, 57, 9, 1e8, time.UTC)
	for i := range 5 {
		r.Truths = append(r.Truths, scenarios.Truth{Ordinal: i, Client: netip.MustParseAddrPort("198.18.50.88:40000"), Start: start.Add(time.Duration(i) * time.Second), Duration: 4.0512, Outcome: client.Reset})
	}
	r.Truths[1].Outcome = client.OK
	r.Truths[2].Outcome, r.Truths[2].Status = client.Error, 503
	r.Requests.Failed = 4
	inEveryLanguage(t, func(t *testing.T, lang, of string) {
		got, err := writeTicket(r, []analyzer.Point{{File: "captures/client-eth0.pcapng", Hop: "client", Face: "eth0"}}, []string{"client", "link:client-f5", "f5", "link:f5-firewall", "firewall"}, Options{Dir: "DIR", Language: lang}, true)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "ticket"+of, got)
		bare, err := writeTicket(r, nil, nil, Options{Bare: true, Language: lang}, true)
		if title, _, _ := strings.Cut(got, "\n"); err != nil || !strings.HasPrefix(bare, title+"\n") || strings.Contains(bare, "hopblame") {
			t.Errorf("a ticket without the command line (%v):\n%s", err, bare)
		}
	})
}

// inEveryLanguage tests each; of is how a golden file's name ends.
func inEveryLanguage(t *testing.T, test func(t *testing.T, lang, of string)) {
	for _, lang := range locale.Tags {
		t.Run(lang, func(t *testing.T) {
			of := ".golden"
			if lang != locale.English {
				of = "." + lang + of
			}
			test(t, lang, of)
		})
	}
}

var (
	action = regexp.MustCompile(`\{\{.*?\}\}`)
	field  = regexp.MustCompile(`\.[A-Z]\w*(\.[A-Z]\w*)*|\bmeaning\b|\bbecause\b`)
)

// TestEveryLanguageHasAllTexts: the same files, which fill in the same things.
func TestEveryLanguageHasAllTexts(t *testing.T) {
	texts := func(lang string) map[string][]string {
		files, err := words.ReadDir("words/" + lang)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]string{}
		for _, f := range files {
			text, err := words.ReadFile("words/" + lang + "/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			fills := []string{}
			for _, a := range action.FindAllString(string(text), -1) {
				fills = append(fills, field.FindAllString(a, -1)...)
			}
			slices.Sort(fills)
			out[f.Name()] = slices.Compact(fills)
		}
		return out
	}
	inEveryLanguage(t, func(t *testing.T, lang, _ string) {
		if diff := cmp.Diff(texts(locale.English), texts(lang)); diff != "" {
			t.Errorf("words/%s differs from words/en, by file and what is filled in (-en +%[1]s):\n%[2]s", lang, diff)
		}
	})
	folders, err := words.ReadDir("words")
	if err != nil || len(folders) != len(locale.Tags) {
		t.Errorf("%v; words/ has %d folders for %q", err, len(folders), locale.Tags)
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
	for _, english := range exercises(t) {
		for _, lang := range locale.Tags {
			s, _ := english.In(lang)
			for _, word := range []string{s.Name, string(causeOf(s)), s.Title} {
				if strings.Contains(strings.ToLower(s.Symptom), strings.ToLower(word)) {
					t.Errorf("%s: the symptom says %q", s.Name, word)
				}
			}
		}
	}
}
