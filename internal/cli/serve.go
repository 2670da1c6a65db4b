package cli

import (
	"errors"
	"fmt"

	"github.com/hopblame/hopblame/serve"
	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	var o serve.Options
	keep := int64(serve.DefaultKeep >> 20)
	c := &cobra.Command{
		Use:   "serve",
		Short: "The same in a browser, on this machine: runs to watch, reports, exercises",
		Long: `Serve pages on which a scenario is chosen, watched while it runs, and its report read; on
which exercises are done; and from which the captures are downloaded. Only programs on
this machine reach them. What was run is kept until the server ends. Without --lang, it is
all in the language of LC_ALL, LC_MESSAGES or LANG, or else English.`,
		Example: `  hopblame serve
  hopblame serve --listen 127.0.0.1:9000 --keep 1024`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := serve.CheckListen(o.Listen); err != nil {
				return usage(fmt.Errorf("--listen %w", err))
			}
			if c.Flags().Changed("dir") && o.Dir == "" {
				return usage(errors.New("--dir is empty: give a folder, or leave it out"))
			}
			if keep < minKeep || keep > maxKeep {
				return usage(fmt.Errorf("--keep %d: must be %d to %d", keep, minKeep, maxKeep))
			}
			o.Keep = keep << 20
			var err error
			if o.Language, err = spoken(c); err != nil {
				return err
			}
			if err := sandbox(); err != nil {
				return err
			}
			s, err := serve.New(o)
			if err != nil {
				return err
			}
			if err := printText(c, "hopblame is at "+s.URL()+" until Ctrl-C.\n", nil); err != nil {
				return errors.Join(err, s.Close())
			}
			return s.Serve(c.Context())
		},
	}
	f := c.Flags()
	f.StringVar(&o.Listen, "listen", serve.DefaultListen, "`HOST:PORT` to listen on: 127.0.0.1, [::1] or localhost; port 0 is any that is free")
	f.StringVar(&o.Dir, "dir", "", "folder in which runs are kept until the server ends (default: the one for temporary files)")
	langFlag(c, false, "all pages, reports and exercises")
	f.Int64Var(&keep, "keep", keep, "`MB` of runs and exercises to keep: the one that nobody has looked at for longest goes first")
	return c
}

// What can be kept, in megabytes: no less than a small run takes, no more than any disk has.
const (
	minKeep = 128
	maxKeep = 1 << 30
)
