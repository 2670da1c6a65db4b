package scenarios

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/locale"
)

// untranslated are the scenarios, by language, that nobody has translated yet. What shows
// them falls back to English.
var untranslated = map[string][]string{
	locale.Chinese: {},
}

// TestTheCatalogueIsTranslated: what lacks is in the list above, and nothing else.
func TestTheCatalogueIsTranslated(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, lang := range locale.Tags {
		if lang == locale.English {
			continue
		}
		var lacking []string
		names := map[string]bool{}
		for _, s := range all {
			names[s.Name] = true
			file := path.Join("catalogue", lang, s.Name+".yaml")
			text, err := catalogue.ReadFile(file)
			if err != nil {
				lacking = append(lacking, s.Name)
				continue
			}
			if _, err := loadTranslation(file, text, s); err != nil {
				t.Error(err)
				continue
			}
			other, ok := s.In(lang)
			if !ok || other.Title == s.Title || other.Symptom == s.Symptom || !slices.Equal(other.Lesson.OnDevice, s.Lesson.OnDevice) {
				t.Errorf("%s: it is not translated: %q", file, other.Title)
			}
			for _, word := range verbatim.FindAllString(allWords(s), -1) {
				if !strings.Contains(allWords(other), word) {
					t.Errorf("%s lacks %s, which is the same in every language", file, word)
				}
			}
		}
		if !slices.Equal(lacking, untranslated[lang]) && len(lacking)+len(untranslated[lang]) > 0 {
			t.Errorf("%s: translate these, or list them as untranslated: %q; the list has %q", lang, lacking, untranslated[lang])
		}
		files, err := fs.Glob(catalogue, path.Join("catalogue", lang, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if !names[strings.TrimSuffix(path.Base(file), ".yaml")] {
				t.Errorf("%s translates no scenario", file)
			}
		}
	}
}

// verbatim is what no language has other words for: what is quoted, RFCs, interfaces, hosts,
// display filters.
var verbatim = regexp.MustCompile(`"[^"]+"|\{peer\}|RFC \d+|§[\d.]+\d|feth1\d|server[12]|captures/[a-z]+\.log|\w+(\.\w+)+ == \w+`)

func allWords(s *Scenario) string {
	return strings.Join(slices.Concat([]string{s.Title, s.Symptom, s.Lesson.Answer}, s.Lesson.Questions, s.Lesson.Hints), "\n")
}

func TestATranslationIsReadStrictly(t *testing.T) {
	s := &Scenario{Title: "t", Symptom: "s", Lesson: Lesson{Questions: []string{"q"}, Hints: []string{"h", "i"}, Answer: "a"}}
	const good = "title: 题\nsymptom: >-\n  防火墙\n  丢弃 SYN\n  了\nlesson:\n  questions: [问]\n  hints: [一, 二]\n  answer: 答\n"
	got, err := loadTranslation("x.yaml", []byte(good), s)
	if err != nil || got.Symptom != "防火墙丢弃 SYN 了" {
		t.Fatalf("%v, %v", got, err)
	}
	for _, row := range []struct{ name, old, new, want string }{
		{"a key that only the scenario has", "lesson:", "traffic: {}\nlesson:", `x.yaml:6:1: unknown key "traffic"`},
		{"a key that is misspelt", "symptom:", "sympton:", `x.yaml:2:1: unknown key "sympton"; did you mean "symptom"?`},
		{"a key at another place", "lesson:", "hints: [一, 二]\nlesson:", `x.yaml:6:1: unknown key "hints" here; it belongs under lesson`},
		{"a hint less", "[一, 二]", "[一]", "x.yaml:8:10: lesson.hints: there are 1, and in English 2"},
		{"a hint that says nothing", "[一, 二]", "[一, '']", "x.yaml:8:14: lesson.hints[1]: must be there if it is in English, and only then"},
		{"no answer", "  answer: 答\n", "", "x.yaml:7:3: lesson.answer: must be there if it is in English, and only then"},
		{"a list for a text", "title: 题", "title: [题]", `x.yaml:1:8: got "[", want a string`},
		{"nothing at all", good, "", "x.yaml:1:1: is empty"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := strings.Replace(good, row.old, row.new, 1)
			if _, err := loadTranslation("x.yaml", []byte(text), s); err == nil || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
		})
	}
}

func TestWhatIsNotTheCataloguesStaysAsItIs(t *testing.T) {
	s, err := Find("firewall-drops-syn")
	if err != nil {
		t.Fatal(err)
	}
	if same, ok := s.In(locale.English); same != s || !ok {
		t.Errorf("in English it is %v, %t", same, ok)
	}
	own := *s
	own.Lesson.Answer = "It was the cable."
	for _, x := range []*Scenario{&own, {Name: "my-own", Title: "Mine"}} {
		if same, ok := x.In(locale.Chinese); same != x || ok {
			t.Errorf("%s: got %q, %t", x.Name, same.Title, ok)
		}
	}
}
