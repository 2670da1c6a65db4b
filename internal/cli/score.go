package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/scenarios/trial"
	"github.com/spf13/cobra"
)

func newScore() *cobra.Command {
	var runDir, verdicts string
	var names []string
	var t telling
	c := &cobra.Command{
		Use:   "score --run DIR --verdicts FILE",
		Short: "Judge any analyzer's verdicts on a recorded run",
		Long: `Compare the verdicts of any analyzer with the truth of a run directory: what is right, what
was taken for what, how far each hop and cause can be trusted, and whether the confidence
it gives is worth something.

FILE is JSON, or - for standard input. Of each verdict it needs request.id (X-Request-ID),
or else request.client and, where a client's address sent several requests, request.start;
then hop, cause and, if the analyzer has one, confidence:

  {"schema_version": 1, "verdicts": [
    {"request": {"id": "17"}, "hop": "firewall", "cause": "syn-dropped", "confidence": 0.99}]}

A hop is a node of the lab, link:A-B between two, or "" with the cause inconclusive. For
an analyzer with words of its own, --name says what they mean.`,
		Example: `  hopblame score --run demo --verdicts mine.json
  hopblame score --run demo --verdicts - --name bigip=f5 --name p3=firewall/feth11 < mine.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case runDir == "":
				return usage(errors.New("score needs --run DIR, the run directory of hopblame run --out DIR"))
			case verdicts == "":
				return usage(errors.New("score needs --verdicts FILE, or - for standard input"))
			}
			n, err := trial.ParseNames(names)
			if err != nil {
				return usage(fmt.Errorf("--%w", err))
			}
			if err := t.load(); err != nil {
				return err
			}
			r, err := scenarios.OpenRecording(runDir)
			if err != nil {
				return err
			}
			v, err := decodeVerdicts(c, verdicts)
			if err != nil {
				return err
			}
			if verdicts == "-" {
				verdicts = "standard input"
			}
			result, err := trial.Score(c.Context(), r, verdicts, v, n)
			if err != nil {
				return err
			}
			return t.tell(c, result)
		},
	}
	f := c.Flags()
	f.StringVar(&runDir, "run", "", "run directory, with its truth")
	f.StringVar(&verdicts, "verdicts", "", "the analyzer's verdicts as JSON; - is standard input")
	nameFlag(c, &names)
	t.flags(c)
	return c
}

// telling is how score, trial and merge tell a result.
type telling struct {
	asJSON   bool
	junit    string        // file to write as well; "" is none
	baseline string        // file with an earlier result; "" is none
	before   *trial.Result // what it holds
}

func (t *telling) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.baseline, "baseline", "", "`FILE` with the --json of an earlier one: say what got better or worse")
	f.StringVar(&t.junit, "junit", "", "write the result to `FILE` as JUnit XML as well, for a CI server")
	f.BoolVar(&t.asJSON, "json", false, "print the result as JSON")
}

// load reads the baseline, before there is anything to compare with it.
func (t *telling) load() (err error) {
	if t.baseline != "" {
		t.before, err = trial.LoadResult(t.baseline)
	}
	return err
}

func nameFlag(c *cobra.Command, names *[]string) {
	c.Flags().StringArrayVar(names, "name", nil, "what the analyzer calls a hop or a point, as `THEIRS=OURS`; may be repeated")
}

func decodeVerdicts(c *cobra.Command, name string) (*trial.Verdicts, error) {
	if name == "-" {
		return trial.Decode("standard input", c.InOrStdin())
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be opened", Err: errno(err), Fix: "give the analyzer's verdicts, or - for standard input"}
	}
	defer f.Close()
	return trial.Decode(name, f)
}

// tell prints a result and returns the error that it amounts to.
func (t *telling) tell(c *cobra.Command, r *trial.Result) error {
	out := c.OutOrStdout()
	var changes []trial.Change
	if t.before != nil {
		changes = trial.Compare(t.before, r)
	}
	var err error
	if t.asJSON {
		err = writeJSON(out, struct {
			*trial.Result
			Changes []trial.Change `json:"changes,omitempty"` // since the baseline
		}{r, changes})
	} else {
		err = writeTrial(out, r, t.before, changes)
	}
	if err == nil && t.junit != "" {
		err = writeWhole("--junit", t.junit, r.WriteJUnit)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	switch invalid := r.Invalid(); {
	case len(invalid) > 0:
		return &codeError{exitInvalid, errors.New("INVALID, so nobody is judged by it: " + strings.Join(invalid, ", "))}
	case !r.Passed():
		return &codeError{code: exitCheck}
	}
	return nil
}
