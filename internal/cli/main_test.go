package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/topology"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be two programs: the tests, and, under the name
// hopblame, the command they call. The command makes its own sandbox, by way of
// that same name, so it must be tried first.
func TestMain(m *testing.M) {
	commands := map[string]func(){"hopblame": func() { os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr)) }}
	if filepath.Base(os.Args[0]) == "hopblame" {
		testscript.Main(m, commands)
	}
	topology.Main(scripted{m, commands})
}

// scripted runs the tests with the command installed.
type scripted struct {
	m        *testing.M
	commands map[string]func()
}

func (s scripted) Run() int {
	testscript.Main(s.m, s.commands) // exits
	return 1
}

// labs says whether this machine can build labs at all.
func labs(t *testing.T) error {
	t.Helper()
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := topology.Build(t.Context(), spec)
	if err != nil {
		return err
	}
	return lab.Close()
}

func TestScripts(t *testing.T) {
	err := labs(t)
	var unsupported *topology.UnsupportedError
	if err != nil && !errors.As(err, &unsupported) {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		// [labs] guards what builds one; it is false only where a typed error
		// says so.
		Condition: func(cond string) (bool, error) {
			if cond != "labs" {
				return false, errors.New("unknown condition " + strconv.Quote(cond))
			}
			return err == nil, nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "truncate": truncate},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// fails CODE ARG… runs hopblame, which must exit with the code and, but for code
// 1, say why in one line on standard error and nothing on standard output.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: fails CODE ARG...")
	}
	err := ts.Exec("hopblame", args[1:]...)
	code := 0
	var exit interface{ ExitCode() int }
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if got, want := strconv.Itoa(code), args[0]; got != want {
		ts.Fatalf("exit code %s, want %s\n%s", got, want, stderr)
	}
	if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "panic") {
		ts.Fatalf("a stack trace:\n%s", stderr)
	}
	if args[0] != "1" && (stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "hopblame: ")) {
		ts.Fatalf("not one line on standard error alone:\n%s\n--- standard output\n%s", stderr, stdout)
	}
}

// truncate FILE cuts a file in the middle of its last packet.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: truncate FILE")
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	if err == nil {
		err = os.Truncate(path, info.Size()*3/4+1)
	}
	ts.Check(err)
}
