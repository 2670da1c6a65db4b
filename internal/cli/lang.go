package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/hopblame/hopblame/internal/locale"
	"github.com/spf13/cobra"
)

// langFlag adds --lang to a command, or also to those below it. of is what is written in the
// language.
func langFlag(c *cobra.Command, below bool, of string) {
	f := c.Flags()
	if below {
		f = c.PersistentFlags()
	}
	f.String("lang", "", "`LANGUAGE` of "+of+": "+strings.Join(locale.Tags, " or "))
	_ = c.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions(locale.Tags, cobra.ShellCompDirectiveNoFileComp)) // which fails for a flag that there is not
}

// langOf is what --lang says, or else, where it is not given, otherwise.
func langOf(c *cobra.Command, otherwise string) (tag string, err error) {
	f := c.Flags().Lookup("lang")
	if !f.Changed {
		return otherwise, nil
	}
	tag, err = locale.Parse(f.Value.String())
	if err != nil {
		return "", usage(fmt.Errorf("--lang: %w", err))
	}
	return tag, nil
}

// spoken is the language of who sits in front of the terminal, unless --lang says another.
func spoken(c *cobra.Command) (tag string, err error) {
	return langOf(c, locale.OfEnvironment(os.Getenv))
}

// langOfPage is the language of a page that goes into a file. Others than who wrote it may
// read that, and one command always writes the same: the environment has no say. needs is
// the flag without which there is no page.
func langOfPage(c *cobra.Command, needs string) (tag string, err error) {
	if c.Flags().Changed("lang") && !c.Flags().Changed(needs) {
		return "", usage(fmt.Errorf("--lang is the language of the page: give --%s, too", needs))
	}
	return langOf(c, locale.English)
}
