package train

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
	"github.com/hopblame/hopblame/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { topology.Main(m) }

// golden compares a text with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got), go test -update rewrites it:\n%s", name, diff)
	}
}

// furnished is the sample's exercise in a folder, without captures.
func furnished(t *testing.T) *Exercise {
	t.Helper()
	e := &Exercise{Dir: t.TempDir(), about: about{SchemaVersion: SchemaVersion, ID: "0a1b2c3d", Salt: []byte("0123456789abcdef"),
		Hops:     []string{"client", "link:client-f5", "f5", "link:f5-firewall", "firewall", "link:firewall-server1", "server1"},
		Captures: []string{"client-eth0.pcapng", "f5-0.0.pcapng", "firewall-feth11.pcapng", "firewall-feth10.pcapng", "server1-eth0.pcapng"}}}
	sealed, err := seal(sample(), e.about.ID, e.about.Salt)
	if err := errors.Join(err, writeWhole(e.file(solutionFile), sealed), writeJSON(e.file(exerciseFile), &e.about)); err != nil {
		t.Fatal(err)
	}
	return reopened(t, e)
}

// reopened is an exercise as the next command finds it. Texts name its folder DIR.
func reopened(t *testing.T, e *Exercise) *Exercise {
	t.Helper()
	e, err := Open(e.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func nameless(e *Exercise, text string) string { return strings.ReplaceAll(text, e.Dir, "DIR") }

func TestAnExerciseFromHintToReveal(t *testing.T) {
	inEveryLanguage(t, fromHintToReveal)
}

func fromHintToReveal(t *testing.T, lang, of string) {
	e := furnished(t)
	e.about.Language = lang
	if err := writeJSON(e.file(exerciseFile), &e.about); err != nil {
		t.Fatal(err)
	}
	var story strings.Builder
	hint := func() {
		e = reopened(t, e)
		text, err := e.Hint()
		if err != nil {
			t.Fatal(err)
		}
		story.WriteString("$ hint\n" + nameless(e, text) + "\n")
	}
	answer := func(a Answer) {
		e = reopened(t, e)
		r, err := e.Answer(a)
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.Text()
		if err != nil {
			t.Fatal(err)
		}
		story.WriteString("$ answer " + a.Hop + " " + string(a.Cause) + " " + a.Frame + "\n" + nameless(e, text) + "\n")
	}
	reveal := func() {
		e = reopened(t, e)
		text, err := e.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		story.WriteString("$ reveal\n" + nameless(e, text) + "\n")
	}
	hint()
	answer(Answer{Hop: "f5", Cause: analyzer.SYNDropped, Frame: "f5-0.0.pcapng:30"})
	answer(Answer{Hop: "f5"}) // what was wrong once costs nothing again
	answer(Answer{Hop: "Firewall", Frame: "captures/f5-0.0:6"})
	for _, frame := range []string{"6", "7", "8"} { // of no request, of one that succeeded, of one that failed
		answer(Answer{Frame: "firewall-feth11:" + frame})
	}
	hint()
	hint()
	hint()
	hint() // there is no fifth: all of them again
	answer(Answer{Frame: "firewall-feth11.pcapng:9"})
	answer(Answer{Hop: "client"}) // it is over
	reveal()
	golden(t, "story"+of, story.String())
	if s := reopened(t, e).Score(); s.Points != 100-4*hintCosts-6*missCosts || !s.Solved || s.Revealed {
		t.Errorf("%+v", s)
	}
}

func TestHintsThatWereGivenAreReadAgainForNothing(t *testing.T) {
	e := furnished(t)
	for given := range 5 {
		text, left, err := e.Given()
		if err != nil || left != 4-given || strings.Count(text, "Hint ") != given || strings.Contains(text, "points") {
			t.Errorf("after %d: %d left (%v)\n%s", given, left, err, text)
		}
		if s := e.Score(); s.Hints != given {
			t.Errorf("%d hints are counted, want %d", s.Hints, given)
		}
		if _, err := e.Hint(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsRevealedGivesNoPoints(t *testing.T) {
	e := furnished(t)
	if _, err := e.Reveal(); err != nil {
		t.Fatal(err)
	}
	r, err := reopened(t, e).Answer(Answer{Hop: "firewall", Cause: analyzer.SYNDropped, Frame: "firewall-feth11:5"})
	if err != nil || !r.Right() || r.Points != 0 || !r.Revealed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPointsAreNeverBelowZero(t *testing.T) {
	p := progress{Hints: 9, Misses: make([]part, 30)}
	if got := p.points(); got != 0 {
		t.Errorf("got %d", got)
	}
}

func TestWordsThatThereAreNotCostNothing(t *testing.T) {
	for _, row := range []struct {
		name string
		a    Answer
		want string
	}{
		{"a hop", Answer{Hop: "firewal"}, `--hop firewal: no such hop; did you mean "firewall"?; there are client, link:client-f5, f5, link:f5-firewall, firewall, link:firewall-server1, server1`},
		{"a cause", Answer{Cause: "syn-droped"}, `--cause syn-droped: no such cause; did you mean "syn-dropped"?; hopblame train words explains them all`},
		{"inconclusive is no answer", Answer{Cause: analyzer.Inconclusive}, `--cause inconclusive: no such cause; hopblame train words explains them all`},
		{"a capture", Answer{Frame: "firewall-feth1.pcapng:5"}, `--frame firewall-feth1.pcapng:5: no such capture; did you mean "firewall-feth10.pcapng"?; there are client-eth0.pcapng, f5-0.0.pcapng, firewall-feth11.pcapng, firewall-feth10.pcapng, server1-eth0.pcapng`},
		{"no number", Answer{Frame: "f5-0.0.pcapng"}, `--frame f5-0.0.pcapng: must be FILE:NUMBER, such as client-eth0.pcapng:17, the number being Wireshark's`},
		{"frame 0", Answer{Frame: "f5-0.0.pcapng:0"}, `--frame f5-0.0.pcapng:0: "0" is no frame number; Wireshark counts from 1`},
		{"a frame behind the last one", Answer{Frame: "firewall-feth11.pcapng:9999999"}, "--frame firewall-feth11.pcapng:9999999: no frame 9999999: the capture has 20,312"},
		{"an abbreviation is near nothing", Answer{Hop: "fw"}, "--hop fw: no such hop; there are client, link:client-f5, f5, link:f5-firewall, firewall, link:firewall-server1, server1"},
		{"the switch, at which nothing was captured", Answer{Hop: "switch"}, "--hop switch: nothing was captured at the switch; it is within link:firewall-server1: name a link"},
		{"nothing at all", Answer{}, "an answer needs --hop, --cause or --frame, or all of them"},
		{"two at once", Answer{Hop: "x", Cause: "y", Frame: "f5-0.0:1"}, "--hop x: no such hop; there are client, link:client-f5, f5, link:f5-firewall, firewall, link:firewall-server1, server1\n--cause y: no such cause; hopblame train words explains them all"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := furnished(t)
			_, err := e.Answer(row.a)
			var word WordError
			if !errors.As(err, &word) || err.Error() != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
			if s := reopened(t, e).Score(); s.Points != full {
				t.Errorf("%d points are left", s.Points)
			}
		})
	}
}

func TestAHopIsKnownByOtherNames(t *testing.T) {
	for _, row := range []struct{ name, given, want string }{
		{"as it is", "link:f5-firewall", "link:f5-firewall"},
		{"a link from its other end", "link:server1-firewall", "link:firewall-server1"},
		{"in capitals", "F5", "f5"},
		{"both", "Link:Firewall-F5", "link:f5-firewall"},
		{"a link that there is not", "link:client-firewall", "link:client-firewall"},
		{"no hop", "router", "router"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := furnished(t).hopOf(row.given); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestThePairsFolderIsNoExercise(t *testing.T) {
	dir := t.TempDir()
	for _, one := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, one), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, one, exerciseFile), []byte("{}"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(dir)
	if want := dir + ": is a pair of exercises; give one of them, " + dir + "/a or " + dir + "/b"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNobodyElseIsNamedWhereThereIsNobody(t *testing.T) {
	e := furnished(t)
	e.solution.Example.Eliminated = nil
	for _, lang := range locale.Tags {
		e.Language = lang
		text, err := e.Reveal()
		if err != nil || strings.Contains(text, "WHY NOBODY ELSE") || strings.Contains(text, "为什么不是别人") || strings.Contains(text, "\n\n\n") {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

func TestADamagedExerciseSaysSoAndLosesNothing(t *testing.T) {
	for _, row := range []struct {
		name, file, text, want string
	}{
		{"no exercise", exerciseFile, "", "DIR: is no exercise; hopblame train start makes one"},
		{"its description", exerciseFile, "{", "DIR/exercise.json: is damaged: unexpected end of JSON input"},
		{"one of the future", exerciseFile, `{"schema_version": 2}`, "DIR/exercise.json: has schema_version 2; this hopblame reads 1"},
		{"a language that nobody speaks", exerciseFile, `{"schema_version": 1, "language": "de"}`, `DIR/exercise.json: language "de": there are en and zh-Hans`},
		{"no solution", solutionFile, "", "DIR/solution.sealed: is not there, so no answer can be judged; bring it back, or start a new exercise"},
		{"the solution", solutionFile, "x", "DIR/solution.sealed: is damaged, or of another exercise; bring it back, or start a new exercise"},
		{"progress", progressFile, `{"hints": 3`, "DIR/progress.json: is damaged: unexpected end of JSON input; mend it, or move it away to count from 100 points again: nothing else is lost"},
		{"another's progress", progressFile, `{"schema_version": 1, "exercise": "ffffffff"}`, "DIR/progress.json: is not of this exercise; mend it, or move it away to count from 100 points again: nothing else is lost"},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := furnished(t)
			if row.text == "" {
				if err := os.Remove(e.file(row.file)); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(e.file(row.file), []byte(row.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Open(e.Dir)
			var file *FileError
			if !errors.As(err, &file) || nameless(e, err.Error()) != row.want {
				t.Errorf("got  %v\nwant %s", err, row.want)
			}
			if left, _ := os.ReadFile(e.file(row.file)); string(left) != row.text {
				t.Errorf("the file is %q now", left)
			}
		})
	}
}

func TestProgressIsThereWholeOrNotAtAll(t *testing.T) {
	e := furnished(t)
	if _, err := e.Hint(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(e.Dir, "kept"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(e.file("kept"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	left, err := filepath.Glob(filepath.Join(e.Dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
