package testkit

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/hopblame/hopblame/internal/shell"
	"github.com/hopblame/hopblame/scenarios"
)

// command plays s again, with all of its runs; it is to be typed in the suite's folder.
// What is focused on is matched with the suite's name and a blank before the text.
func (s subject) command(ginkgoSeed int64) string {
	end := "$"
	if s.ordered {
		end = " "
	}
	return fmt.Sprintf("go test . -ginkgo.seed=%d -ginkgo.focus=%s", ginkgoSeed, shell.Quote(" "+regexp.QuoteMeta(s.text)+end))
}

// repeatCommands are the commands that play a run of of's again, which is in a folder.
func repeatCommands(of subject, ginkgoSeed int64, dir string, s *scenarios.Scenario, o *Options, r *scenarios.Result) (list []string) {
	switch {
	case o.foreign(): // and no file can say what that was
	case inCatalogue(s):
		list = append(list, r.Repeat(s.Name))
	default:
		list = append(list, r.Repeat(shell.Quote(filepath.Join(dir, "scenario.yaml"))))
	}
	return append(list, of.command(ginkgoSeed))
}

// inCatalogue says whether s is as the catalogue has it.
func inCatalogue(s *scenarios.Scenario) bool {
	original, err := scenarios.Find(s.Name)
	if err != nil {
		return false
	}
	want, err := original.Encode()
	if err != nil {
		return false
	}
	got, err := s.Encode()
	return err == nil && bytes.Equal(got, want)
}
