package testkit

import (
	"bytes"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hopblame/hopblame/scenarios"
)

// command plays s again, with all of its runs; it is to be typed in the suite's folder.
// What is focused on is matched with the suite's name and a blank before the text.
func (s subject) command(ginkgoSeed int64) string {
	end := "$"
	if s.ordered {
		end = " "
	}
	return fmt.Sprintf("go test . -ginkgo.seed=%d -ginkgo.focus=%s", ginkgoSeed, quote(" "+regexp.QuoteMeta(s.text)+end))
}

// runCommand plays a run again without the suite: what is to be played is a name of the
// catalogue or a file.
func runCommand(played string, r *scenarios.Result) string {
	return fmt.Sprintf("hopblame run %s --seed %d --requests %d --concurrency %d", played, r.Seed, r.Requests.Sent, r.Settings.Concurrency)
}

// repeatCommands are the commands that play a run of of's again, which is in a folder.
func repeatCommands(of subject, ginkgoSeed int64, dir string, s *scenarios.Scenario, o *Options, r *scenarios.Result) (list []string) {
	switch {
	case o.foreign(): // and no file can say what that was
	case inCatalogue(s):
		list = append(list, runCommand(s.Name, r))
	default:
		list = append(list, runCommand(quote(filepath.Join(dir, "scenario.yaml")), r))
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

// quote makes one word of a text for a shell.
func quote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
