// Package cli is the command line, one file a verb.
//
// Results go to standard output, progress and errors to standard error. A failed
// command says in one line what, where, why and the fix, and exits with the code
// that tells scripts which kind it was.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/train"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Exit codes.
const (
	exitOK          = 0
	exitCheck       = 1   // the check failed
	exitUsage       = 2   // usage, malformed scenario or capture
	exitUnsupported = 3   // this machine cannot
	exitInvalid     = 4   // the run is invalid, or an I/O error
	exitInterrupted = 130 // by a signal, after cleaning up
)

// codeError carries an exit code. A nil err is silent: all has been said.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// usage marks an error as one of usage.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &codeError{exitUsage, err}
}

// Main runs a command line and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible()
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	strict(root)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	var quiet *codeError
	switch {
	case err == nil, errors.As(err, &quiet) && quiet.err == nil:
	case code == exitInterrupted:
		fmt.Fprintln(stderr, "hopblame: interrupted; everything was cleaned up")
	default:
		fmt.Fprintln(stderr, "hopblame: "+oneLine(err))
	}
	return code
}

// interruptible returns a context that the first signal ends. The second ends
// the process at once: as process 1 of its namespace it would otherwise not be
// affected.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() { // ends with the process
		<-signals
		cancel()
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx, cancel
}

func exitCode(ctx context.Context, err error) int {
	var coded *codeError
	var unsupported *topology.UnsupportedError
	var file *scenarios.FileError
	var unknown *scenarios.UnknownError
	var fault *scenarios.UnknownFaultError
	var exercise *train.FileError
	switch {
	case err == nil:
		return exitOK
	case ctx.Err() != nil, errors.Is(err, topology.ErrInterrupted):
		return exitInterrupted
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &unsupported):
		return exitUnsupported
	case errors.As(err, &file), errors.As(err, &unknown), errors.As(err, &fault), errors.As(err, &exercise),
		errors.Is(err, analyzer.ErrMalformed), errors.Is(err, scenarios.ErrNotEmpty):
		return exitUsage
	}
	return exitInvalid
}

// oneLine joins the lines of an error, each once.
func oneLine(err error) string {
	var lines []string
	seen := map[string]bool{}
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "hopblame",
		Short: "Break a network on purpose; check that an analyzer names the hop at fault",
		Long: `hopblame builds a client, a full proxy acting as an F5 BIG-IP, a firewall and two
servers out of Linux network namespaces, breaks them on purpose, captures at every
hop, and checks that an analyzer which sees the captures alone names the right hop.
No root, no other program, nothing left behind.`,
		Example: `  hopblame run firewall-drops-syn --seed 7 --out demo
  hopblame analyze demo
  hopblame doctor`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noVerb,

		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		said := goWords.ReplaceAllString(err.Error(), "")
		return usage(fmt.Errorf("%s; %s --help shows the flags", said, c.CommandPath()))
	})
	root.AddCommand(newRun(), newReplay(), newPlan(), newList(), newSchema(), newAnalyze(), newLadder(), newAnnotate(), newVerify(), newScore(), newTrial(), newMerge(), newCorpus(), newShrink(), newTrain(), newServe(), newDoctor(), newVersion())
	root.SetHelpTemplate(root.HelpTemplate() + `
Exit codes: 0 as expected, 1 the check failed, 2 usage or malformed input,
3 this machine cannot, 4 the run is invalid or an I/O error, 130 interrupted.
`)
	return root
}

// goWords are the words of Go's packages in what cobra says of a flag's value.
var goWords = regexp.MustCompile(`strconv\.\w+: parsing "[^"]*": |time: `)

// noVerb refuses a verb that does not exist: cobra gives what is no command to
// the root, as an argument.
func noVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	guess := ""
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		guess = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("no command %q%s; hopblame --help lists them", args[0], guess)
}

// strict makes wrong arguments a usage error for every command, those that cobra
// adds included; it would print help and succeed. Call it when the output is set,
// which cobra's own commands keep.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "help" {
			c.Args = func(_ *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return fmt.Errorf("no help on %q", strings.Join(args, " "))
				}
				return nil
			}
		}
		for _, sub := range c.Commands() {
			wrapArgs(sub)
		}
		wrapArgs(c)
	}
	wrapArgs(root)
}

// wrapArgs makes a wrong number of arguments a usage error with the way out.
func wrapArgs(c *cobra.Command) {
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		err := check(c, args)
		if err != nil && c.HasParent() {
			err = fmt.Errorf("%w; usage: %s", err, c.UseLine())
		}
		return usage(err)
	}
	if c.RunE == nil && c.Run == nil {
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
}

// isTerminal says whether a stream is somebody's screen, and one that wants
// colours or movement.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

func wantsColor(w io.Writer) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

// width returns how many columns a stream has; 100 when it has none.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns >= 40 {
			return min(columns, 120)
		}
	}
	return 100
}

// scenarioNames completes scenario names in a shell.
func scenarioNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := scenarios.All()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name+"\t"+s.Title)
	}
	return names, cobra.ShellCompDirectiveDefault
}
