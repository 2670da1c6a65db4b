package train

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

func find(t *testing.T, name string) *scenarios.Scenario {
	t.Helper()
	s, err := scenarios.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnExerciseGivesNothingAway(t *testing.T) {
	labtest.Build(t, topology.IPv4) // which skips where there can be no labs
	for _, row := range []struct {
		name, scenario string
		requests       int
		files          []string
	}{
		{"a packet is lost", "firewall-drops-syn", 600, nil},
		{"the f5 is at fault", "f5-no-pool", 100, nil},
		{"the captures are of HTTPS, and there are keys", "firewall-drops-syn-https", 600, []string{"captures/keys.log"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := find(t, row.scenario)
			parent := t.TempDir()
			dir := filepath.Join(parent, "exercise")
			e, err := Start(t.Context(), Options{Scenario: s, Dir: dir, Requests: row.requests, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			secrets := []string{s.Name, s.Title, string(causeOf(s)), s.Lesson.Answer, s.Lesson.Hints[0], s.Expect[0].Pair.String()}
			for _, f := range s.Faults {
				secrets = append(secrets, f.Name)
			}
			var files []string
			err = filepath.WalkDir(parent, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				for _, secret := range secrets {
					if bytes.Contains(text, []byte(secret)) || strings.Contains(path, secret) {
						t.Errorf("%s: %q is readable", path, secret)
					}
				}
				name, _ := filepath.Rel(dir, path)
				files = append(files, name)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			want := append([]string{exerciseFile, ticketFile, solutionFile, "captures/points.json"}, row.files...)
			for _, f := range e.Files {
				want = append(want, "captures/"+f)
			}
			slices.Sort(want)
			if slices.Sort(files); !slices.Equal(files, want) {
				t.Errorf("files: %q, want %q", files, want)
			}
			solveIt(t, e)
		})
	}
}

// solveIt answers an exercise as somebody does who knows.
func solveIt(t *testing.T, e *Exercise) {
	t.Helper()
	r, err := e.Answer(Answer{Hop: e.solution.hops()[0], Cause: e.solution.cause(), Frame: frameName(e.solution.Proof.File, e.solution.Proof.Frame)})
	if err != nil || !r.Right() || !r.Solved || r.Points != full {
		t.Errorf("%+v, %v", r, err)
	}
	text, err := reopened(t, e).Reveal()
	for _, part := range []string{e.solution.Scenario, "Verdict: ", "Solved: 100 of 100 points", "hopblame run "} {
		if err != nil || !strings.Contains(text, part) {
			t.Errorf("%v; the story lacks %q:\n%s", err, part, text)
		}
	}
}

func TestWhatCannotBeStartedLeavesNothing(t *testing.T) {
	labtest.Build(t, topology.IPv4) // which skips where there can be no labs
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context
		o    Options
		want string
	}{
		{"no run has a failure", t.Context(), Options{Scenario: find(t, "firewall-drops-syn"), Requests: 1, Seed: 5}, "played 3 times, and no run was an exercise: no request failed"},
		{"what has not one answer", t.Context(), Options{Scenario: find(t, "no-fault")}, "no-fault: is no exercise, for it has not one answer"},
		{"somebody presses Ctrl-C", cancelled, Options{Scenario: find(t, "f5-no-pool")}, context.Canceled.Error()},
	} {
		t.Run(row.name, func(t *testing.T) {
			parent := t.TempDir()
			row.o.Dir = filepath.Join(parent, "exercise")
			again := 0
			row.o.Again = func(why error) {
				if again++; !errors.Is(why, errNoFailure) {
					t.Errorf("played again because %v", why)
				}
			}
			if _, err := Start(row.ctx, row.o); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %s", err, row.want)
			}
			if left, _ := os.ReadDir(parent); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if want := map[bool]int{true: attempts - 1}[row.o.Requests == 1]; again != want {
				t.Errorf("played again %d times, want %d", again, want)
			}
		})
	}
}

func TestAFolderThatHoldsSomethingIsLeftAsItWas(t *testing.T) {
	dir := t.TempDir()
	if err := CheckFree(dir); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	name := filepath.Join(dir, "mine")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{dir, name} {
		var file *FileError
		if _, err := Start(t.Context(), Options{Scenario: find(t, "f5-no-pool"), Dir: at}); !errors.As(err, &file) {
			t.Errorf("%s: %v", at, err)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("there are %v now", left)
	}
}
