// Command hopblame breaks a network on purpose and checks that an analyzer, given
// the captures alone, names the hop at fault.
package main

import (
	"os"

	"github.com/hopblame/hopblame/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr)) }
