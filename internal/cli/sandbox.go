package cli

import (
	"github.com/hopblame/hopblame/internal/scratch"
	"github.com/hopblame/hopblame/topology"
)

// sandbox is [topology.Sandbox], in which a command takes away first what others, which
// were killed, have left in the folder for temporary files.
func sandbox() error {
	if err := topology.Sandbox(); err != nil {
		return err
	}
	scratch.Sweep()
	return nil
}
