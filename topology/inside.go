package topology

import "fmt"

// Inside returns the node that the calling process runs in, for a program of ours
// that another one has started with [Host.Command]: an actor in a process of its
// own. leave ends it and must be called when all that was started with Go has ended.
//
// The wiring belongs to the process that built the lab.
func Inside(name string) (h *Host, leave func() error, err error) {
	n, err := here()
	if err != nil {
		return nil, nil, fmt.Errorf("node %s: open namespace: %w", name, err)
	}
	if h, err = startHost(name, func(h *Host) error {
		h.netns = n
		return h.enter()
	}); err != nil {
		return nil, nil, err
	}
	return h, h.close, nil
}
