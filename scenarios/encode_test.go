package scenarios

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"
)

// same compares two scenarios; an empty list that nobody tells from none is the same.
func same(a, b *Scenario) string {
	return cmp.Diff(a, b, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}))
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	own, err := Load("f.yaml", []byte(edited(t, "probability: 0.5", "probability: 0")))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"yes", "null", "1.5", "- a", "a: b # c", "'", `"`, "a\nb\n", " a ", "tab\there", "a\n\tb\n", "\r\n", "\a", "a: |\n", "\\n", "{x", "*a", "&a", "!a", "%a", "@a", "|", ">", "?", "日本", "~", "0x1f", "1e3"} {
		odd := *own
		odd.Title, odd.Symptom, odd.Lesson.Hints = text, text, []string{text, ""}
		odd.Lesson.Answer = strings.Repeat(text, 30)
		all = append(all, &odd)
	}
	for _, s := range append(all, own) {
		text, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Load("f.yaml", text)
		if err != nil {
			t.Errorf("%s (%q): %v\n%s", s.Name, s.Title, err, text)
			continue
		}
		if diff := same(s, again); diff != "" {
			t.Errorf("%s: written - read +\n%s\n%s", s.Name, diff, text)
		}
	}
}
