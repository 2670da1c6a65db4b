// Package arrows holds the tests of the project as a whole: dependencies that
// point one way, and a README that tells the truth.
package arrows

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hopblame/hopblame/"

// may lists, for each part of the project, the parts it may import. internal
// packages are leaves that anybody may use, but for cli.
var may = map[string][]string{
	"cmd":          {"internal/cli"},
	"internal/cli": {"serve", "train", "scenarios", "sim", "topology", "analyzer"},
	"serve":        {"train", "scenarios", "sim", "analyzer"},
	"train":        {"scenarios", "topology", "analyzer"},
	"scenarios":    {"sim", "topology", "analyzer"},
	"sim":          {"topology", "analyzer/f5trailer"},
	"topology":     {},
	"analyzer":     {},
	"e2e":          {"scenarios", "sim", "topology", "analyzer"},
	"internal":     {},
}

// why is told to who breaks the rule.
var why = map[string]string{
	"analyzer": "the judge never sees the answer sheet",
	"sim":      "sim reports facts; the vocabulary of causes is the analyzer's",
}

// only lists libraries that one part alone may import.
var only = map[string]string{
	"github.com/onsi/":         "e2e",
	"github.com/spf13/cobra":   "internal/cli",
	"github.com/goccy/go-yaml": "scenarios",

	"github.com/santhosh-tekuri/": "tests",
}

func TestImportsFollowTheArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		importer, imports, _ := strings.Cut(strings.TrimSpace(line), ": ")
		from := part(strings.TrimPrefix(importer, module))
		for _, imported := range strings.Fields(imports) {
			for library, at := range only {
				if strings.HasPrefix(imported, library) && from != at {
					t.Errorf("%s imports %s, which only %s may", importer, imported, at)
				}
			}
			to, ours := strings.CutPrefix(imported, module)
			if !ours || part(to) == from || strings.HasPrefix(to, "internal/") && part(to) == "internal" {
				continue
			}
			if !slices.ContainsFunc(may[from], func(allowed string) bool {
				return to == allowed || strings.HasPrefix(to, allowed+"/")
			}) {
				t.Errorf("%s imports %s, which %s may not: %s", importer, to, from, why[from])
			}
		}
	}
}

// part is the part of the project that a package belongs to.
func part(path string) string {
	if strings.HasPrefix(path, "internal/cli") {
		return "internal/cli"
	}
	first, _, _ := strings.Cut(path, "/")
	return first
}
