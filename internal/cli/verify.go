package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/verify"
	"github.com/hopblame/hopblame/internal/digits"
	"github.com/spf13/cobra"
)

func newVerify() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify VERDICTS CAPTURES",
		Short: "Check every statement of a verdicts.json against the frames it cites",
		Long: `Read the frames that a verdicts.json cites, and the ranges in which it says that
something is absent, with other code than the analyzer's, and confirm or refute every
statement. VERDICTS is a file, or - for standard input; CAPTURES is a run directory or
the folder of the captures. A statement that cannot be checked is not confirmed.`,
		Example: `  hopblame verify demo/verdicts.json demo
  hopblame analyze demo --json | hopblame verify - demo`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
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
