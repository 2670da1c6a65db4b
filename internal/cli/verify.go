package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/spf13/cobra"
)

func newVerify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify RUN | VERDICTS CAPTURES",
		Short: "Check every statement of a verdicts.json against the frames it cites",
		Long: `Read the frames that a verdicts.json cites, and the ranges in which it says that
something is absent, with other code than the analyzer's, and confirm or refute every
statement. RUN is a run directory, whose own verdicts they are. Other ones are checked with
VERDICTS, a file, or - for standard input, and CAPTURES, a run directory or the folder of
the captures. A statement that cannot be checked is not confirmed.`,
		Example: `  hopblame verify demo
  hopblame verify mine.json demo/captures
  hopblame analyze demo --json | hopblame verify - demo`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if s, err := os.Stat(args[0]); err == nil && !s.IsDir() || args[0] == "-" {
					return usage(fmt.Errorf("%s alone tells nothing of the captures: give their folder behind it", args[0]))
				}
				args = []string{filepath.Join(args[0], "verdicts.json"), args[0]}
			}
			report, err := readVerdicts(c, args[0])
			if err != nil {
				return err
			}
			r, err := verify.Run(c.Context(), report, args[1])
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(c.OutOrStdout(), r)
			} else {
				err = printVerification(c.OutOrStdout(), r)
			}
			if err != nil {
				return fmt.Errorf("write the result: %w", err)
			}
			if len(r.Failures) > 0 {
				return &codeError{code: exitCheck}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

func readVerdicts(c *cobra.Command, name string) (*analyzer.Report, error) {
	if name == "-" {
		return verify.Decode("standard input", c.InOrStdin())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be opened", Err: errno(err), Fix: "give a verdicts.json, or - for standard input"}
	}
	defer f.Close()
	return verify.Decode(name, f)
}

// printVerification prints what failed, or that nothing did.
func printVerification(w io.Writer, r *verify.Result) error {
	for _, f := range r.Failures {
		of := "the report"
		if f.Verdict >= 0 {
			of = fmt.Sprintf("verdicts[%d], %s", f.Verdict, f.Request)
		}
		if _, err := fmt.Fprintf(w, "✗ %s: %s: %s\n", of, f.Statement, f.Why); err != nil {
			return err
		}
	}
	if len(r.Failures) > 0 {
		_, err := fmt.Fprintf(w, "%s of %s statements in %s verdicts not confirmed\n",
			digits.Group(len(r.Failures)), digits.Group(r.Statements), digits.Group(r.Verdicts))
		return err
	}
	_, err := fmt.Fprintf(w, "%s statements in %s verdicts confirmed\n", digits.Group(r.Statements), digits.Group(r.Verdicts))
	return err
}

// errno strips the path a *fs.PathError repeats.
func errno(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
