package testkit

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/internal/shell"
)

func TestASeedIsOfGinkgosSeedAndTheSpec(t *testing.T) {
	spec := subject{text: "a spec"}
	first := spec.seed(1, 0)
	if again := spec.seed(1, 0); again != first {
		t.Errorf("got %d and %d for the same run", first, again)
	}
	seen := map[uint64]string{first: "the first"}
	for what, seed := range map[string]uint64{
		"another seed of Ginkgo's": spec.seed(2, 0),
		"another spec":             subject{text: "another spec"}.seed(1, 0),
		"another attempt":          subject{text: "a spec", attempt: 1}.seed(1, 0),
		"the spec's second run":    spec.seed(1, 1),
	} {
		if other, taken := seen[seed]; taken {
			t.Errorf("%s and %s have the same seed %d", what, other, seed)
		}
		if seen[seed] = what; seed > 1<<32-1 {
			t.Errorf("%s: seed %d is long", what, seed)
		}
	}
}

func TestAFoldersNameIsOfTheSpecsText(t *testing.T) {
	for text, want := range map[string]string{
		"HAProxy [It] is not blamed": "haproxy-it-is-not-blamed",
		"ends in dots …":             "ends-in-dots",
		"../../etc/passwd":           "etc-passwd",
		"":                           "",
		strings.Repeat("x", 100):     strings.Repeat("x", maxSlug),
		strings.Repeat("word ", 20):  strings.Repeat("word-", 15) + "word",
	} {
		if got := slug(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestACommandSurvivesAShell(t *testing.T) {
	for _, word := range []string{"firewall-drops-syn", "it's a (spec) with $HOME and \\", "", "two  blanks", "/tmp/a b/scenario.yaml"} {
		got, err := exec.Command("sh", "-c", "printf %s "+shell.Quote(word)).Output()
		if err != nil || string(got) != word {
			t.Errorf("%q: a shell makes %q of %s: %v", word, got, shell.Quote(word), err)
		}
	}
}
