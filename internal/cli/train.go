package cli

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/nearest"
	"github.com/hopblame/hopblame/internal/shell"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/train"
	"github.com/spf13/cobra"
)

func newTrain() *cobra.Command {
	c := &cobra.Command{
		Use:   "train",
		Short: "Exercises: find the hop at fault yourself",
		Long: `An exercise is a ticket in the customer's words and the captures of every hop. Find the
hop at fault, the cause, and the frame that proves it.

Without --lang, it is all in the language of LC_ALL, LC_MESSAGES or LANG, or else English.
An exercise keeps the language that it was started in.`,
		Example: `  hopblame train start
  hopblame train hint exercise
  hopblame train answer exercise --hop f5 --cause no-pool-member --frame f5-0.0.pcapng:17
  hopblame train reveal exercise`,
		Args: cobra.NoArgs,
	}
	langFlag(c, true, "all texts")
	c.AddCommand(newTrainStart(), newTrainHint(), newTrainAnswer(), newTrainReveal(), newTrainWords(), newTrainList(), newTrainSheet())
	return c
}

// trainStart is what train start is asked for.
type trainStart struct {
	seed, class uint64
	seat        int
	pair        bool
	options     train.Options
}

func newTrainStart() *cobra.Command {
	var o trainStart
	c := &cobra.Command{
		Use:   "start [NAME]",
		Short: "Start an exercise, at random unless it is named",
		Long: `Play a scenario and leave an exercise: ticket.txt, the captures, and a sealed solution.
Which scenario it is is chosen at random, or by --seed, or by a class's seed and the seat
in it: neighbours have the same symptom and not the same cause. Whoever gives a NAME knows
the answer; hopblame train list --names is for trainers.`,
		Example: `  hopblame train start
  hopblame train start --class 2026 --seat 7
  hopblame train start --pair -o contrast`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: scenarioNames,
		RunE:              func(c *cobra.Command, args []string) error { return o.run(c, args) },
	}
	f := c.Flags()
	f.Var((*classSeed)(&o.class), "class", "`SEED` of a class, a number; needs --seat")
	f.IntVar(&o.seat, "seat", 0, "seat in the class, from 1")
	f.BoolVar(&o.pair, "pair", false, "two exercises, in DIR/a and DIR/b: one symptom, two causes")
	f.StringVarP(&o.options.Dir, "out", "o", "exercise", "folder to make")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the choice and of everything random in the run (default: a fresh one)")
	f.IntVar(&o.options.Requests, "requests", 0, fmt.Sprintf("requests to send (default: as the scenario says, and at most %d)", train.DefaultRequests))
	return c
}

// run starts one exercise, or two.
func (o *trainStart) run(c *cobra.Command, args []string) error {
	given := c.Flags().Changed
	switch {
	case o.options.Dir == "":
		return usage(errors.New("--out is empty: give a folder"))
	case given("requests") && o.options.Requests < 1:
		return usage(fmt.Errorf("--requests %d: must be at least 1", o.options.Requests))
	case given("class") != given("seat"):
		return usage(errors.New("--class and --seat: give both, or neither"))
	case given("class") && (len(args) > 0 || given("seed")):
		return usage(errors.New("--class chooses both scenario and seed: give neither"))
	}
	var err error
	if o.options.Language, err = spoken(c); err != nil {
		return err
	}
	list, err := o.choose(given("seed"), given("class"), args)
	if err != nil {
		return err
	}
	if err := train.CheckFree(o.options.Dir); err != nil {
		return err
	}
	for _, s := range list {
		if err := train.Check(s); err != nil {
			return err
		}
		if err := s.With(scenarios.Options{Requests: o.options.Requests}).Validate(); err != nil {
			return usage(err)
		}
	}
	if err := sandbox(); err != nil {
		return err
	}
	for i, s := range list {
		one := *o
		one.options.Scenario, one.options.Seed = s, o.seed
		if o.pair {
			one.options.Dir = filepath.Join(o.options.Dir, string(rune('a'+i)))
		}
		if err := one.start(c); err != nil {
			return err
		}
	}
	return nil
}

// choose returns the scenario, or the two of a pair, and settles the seed.
func (o *trainStart) choose(seeded, class bool, args []string) ([]*scenarios.Scenario, error) {
	all, err := train.Exercises()
	if err != nil {
		return nil, err
	}
	if !seeded && !class {
		if o.seed, err = scenarios.FreshSeed(); err != nil {
			return nil, err
		}
	}
	var s *scenarios.Scenario
	switch {
	case len(args) > 0:
		s, err = scenarios.Find(args[0])
		var unknown *scenarios.UnknownError
		if errors.As(err, &unknown) {
			var names []string
			for _, s := range all {
				names = append(names, s.Name)
			}
			err = usage(fmt.Errorf("no exercise %q%s; hopblame train list --names has all, with their answers", args[0], nearest.Hint(args[0], names)))
		}
	case class:
		s, err = train.Seat(all, o.class, o.seat)
		err = usage(err)
		o.seed = train.SeatSeed(o.class, o.seat)
	case o.pair:
		s = train.PickTwin(all, o.seed)
	default:
		s = train.Pick(all, o.seed)
	}
	if err != nil || !o.pair {
		return []*scenarios.Scenario{s}, err
	}
	twin := train.Twin(all, s, o.seed)
	if twin == nil {
		return nil, usage(errors.New("--pair: no other exercise has the symptom of this one and another cause"))
	}
	return []*scenarios.Scenario{s, twin}, nil
}

func (o *trainStart) start(c *cobra.Command) error {
	bar := newProgress(c.ErrOrStderr())
	o.options.Progress = bar.show
	o.options.Again = func(why error) {
		bar.close()
		fmt.Fprintf(c.ErrOrStderr(), "the run is no exercise: %v; played again with another seed\n", why)
		bar = newProgress(c.ErrOrStderr())
	}
	e, err := train.Start(c.Context(), o.options)
	bar.close()
	if err != nil {
		return err
	}
	text, err := e.Started()
	return printText(c, text, err)
}

// openExercise opens one, and sets another language than its own if --lang asks for it.
func openExercise(c *cobra.Command, dir string) (*train.Exercise, error) {
	e, err := train.Open(dir)
	if err != nil {
		return nil, err
	}
	e.Language, err = langOf(c, e.Language)
	return e, err
}

func newTrainHint() *cobra.Command {
	return &cobra.Command{
		Use:     "hint DIR",
		Short:   "Give the next hint of an exercise, for points",
		Example: `  hopblame train hint exercise`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := openExercise(c, args[0])
			if err != nil {
				return err
			}
			text, err := e.Hint()
			return printText(c, text, err)
		},
	}
}

func newTrainAnswer() *cobra.Command {
	var a train.Answer
	var cause string
	c := &cobra.Command{
		Use:   "answer DIR",
		Short: "Answer an exercise: hop, cause, and the frame that proves it",
		Long: `Say which hop is at fault, what it did, and which frame proves it; or some of the three.
Of each it is said whether it is right. A word that there is not costs nothing.`,
		Example: `  hopblame train answer exercise --hop f5 --cause no-pool-member --frame f5-0.0.pcapng:17`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := openExercise(c, args[0])
			if err != nil {
				return err
			}
			a.Cause = analyzer.Cause(cause)
			r, err := e.Answer(a)
			var word train.WordError
			if errors.As(err, &word) {
				return usage(err)
			}
			if err != nil {
				return err
			}
			text, err := r.Text()
			if err := printText(c, text, err); err != nil {
				return err
			}
			if !r.Right() {
				return &codeError{code: exitCheck}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&a.Hop, "hop", "", "the hop at fault: a node, or link:A-B")
	f.StringVar(&cause, "cause", "", "what it did; hopblame train words explains the words")
	f.StringVar(&a.Frame, "frame", "", "the frame that proves it, as `FILE:NUMBER`, with Wireshark's number")
	return c
}

func newTrainReveal() *cobra.Command {
	var giveUp bool
	c := &cobra.Command{
		Use:   "reveal DIR",
		Short: "Tell the whole story of an exercise that is solved, or given up",
		Example: `  hopblame train reveal exercise
  hopblame train reveal --give-up exercise`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, err := openExercise(c, args[0])
			if err != nil {
				return err
			}
			if s := e.Score(); !giveUp && !s.Solved && !s.Revealed {
				return usage(fmt.Errorf("%s: is not solved, and to reveal it costs all of the %d points that are left: add --give-up, or ask for a hint (hopblame train hint %[1]s)", shell.Quote(args[0]), s.Points))
			}
			text, err := e.Reveal()
			return printText(c, text, err)
		},
	}
	c.Flags().BoolVar(&giveUp, "give-up", false, "reveal it although it is not solved, for all points")
	return c
}

func newTrainWords() *cobra.Command {
	return &cobra.Command{
		Use:     "words",
		Short:   "Explain what a cause can be called",
		Example: `  hopblame train words`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			lang, err := spoken(c)
			if err != nil {
				return err
			}
			text, err := train.Words(lang)
			return printText(c, text, err)
		},
	}
}

func newTrainList() *cobra.Command {
	var names bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "Count the exercises, without giving answers away",
		Example: `  hopblame train list`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			lang, err := spoken(c)
			if err != nil {
				return err
			}
			all, err := train.Exercises()
			if err != nil {
				return err
			}
			show := train.List
			if names {
				show = train.Names
			}
			text, err := show(lang, all)
			return printText(c, text, err)
		},
	}
	c.Flags().BoolVar(&names, "names", false, "name them, with their answers: for trainers")
	return c
}

func newTrainSheet() *cobra.Command {
	var class uint64
	var seats int
	c := &cobra.Command{
		Use:     "sheet --class SEED --seats N",
		Short:   "Write the trainer's sheet of a class, in Markdown: all answers",
		Example: `  hopblame train sheet --class 2026 --seats 12`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("class") {
				return usage(errors.New("train sheet needs --class SEED, the class's"))
			}
			if seats < 1 || seats > maxSeats {
				return usage(fmt.Errorf("--seats %d: must be 1 to %d", seats, maxSeats))
			}
			lang, err := spoken(c)
			if err != nil {
				return err
			}
			all, err := train.Exercises()
			if err != nil {
				return err
			}
			text, err := train.Sheet(lang, all, class, seats)
			return printText(c, text, err)
		},
	}
	c.Flags().Var((*classSeed)(&class), "class", "`SEED` of the class, a number")
	c.Flags().IntVar(&seats, "seats", 0, "seats in the class")
	return c
}

// classSeed is the seed of a class, which people take for the class's name.
type classSeed uint64

func (s *classSeed) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("a number is wanted, the same one for all seats, such as 2026")
	}
	*s = classSeed(n)
	return nil
}

func (s *classSeed) String() string { return strconv.FormatUint(uint64(*s), 10) }

// Type implements pflag.Value.
func (*classSeed) Type() string { return "uint" }

// maxSeats is more than any room has.
const maxSeats = 1000

// printText writes a text, unless making it failed.
func printText(c *cobra.Command, text string, err error) error {
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c.OutOrStdout(), text); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}
