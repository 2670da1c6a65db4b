package topology

import (
	"fmt"

	"github.com/containernetworking/plugins/pkg/ns"
)

// Inside returns the node that the calling process runs in, for a program of ours
// that another one has started with [Host.Command]: an actor in a process of its
// own. leave ends it and must be called when all that was started with Go has ended.
//
// The wiring belongs to the process that built the lab.
func Inside(name string) (h *Host, leave func() error, err error) {
	// Not ns.GetCurrentNS, which looks below /proc/<pid>: the PID namespace is one of
	// the process's own, /proc is not.
	n, err := ns.GetNS("/proc/thread-self/ns/net")
	if err != nil {
		return nil, nil, fmt.Errorf("node %s: open namespace: %w", name, err)
	}
	if h, err = startHost(name, n); err != nil {
		return nil, nil, err
	}
	return h, h.close, nil
}
