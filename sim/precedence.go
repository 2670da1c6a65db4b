package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// turn orders faults by when a request meets them, by stage and then by place; -1 for one
// that is not on its way.
func turn(path []string, x *fault.Fault) int {
	at := slices.Index(path, x.At)
	if at < 0 {
		return -1
	}
	if x.Way() == fault.ToClient {
		at = len(path) - 1 - at
	}
	return x.Stage()*len(path) + at
}

// earlierOn lists those of some faults that keep a request, whose way is path, from
// meeting another of them: at an earlier stage of its life, or nearer to where the packet
// comes from, or at the same place and before it.
func (c *Config) earlierOn(path []string, x *fault.Fault, all []fault.Fault) (earlier []*fault.Fault) {
	at := turn(path, x)
	behind := false // x has been listed
	for i := range all {
		other := &all[i]
		if other.Name == x.Name {
			behind = true
			continue
		}
		first := !behind && other.Before(x) || behind && !x.Before(other)
		switch theirs := turn(path, other); {
		case theirs < 0:
		case first && other.TakesFrom(x),
			(theirs < at || theirs == at && first) && other.Shadows(x),
			other.Stage() < x.Stage() && c.Outlasts(other):
			earlier = append(earlier, other)
		}
	}
	return earlier
}

// validateMeetings reports faults that can never strike: on every way that they are on,
// another one is before them and leaves nothing.
func (c *Config) validateMeetings(spec *topology.Spec) error {
	var errs []error
	for i := range c.Faults {
		x := &c.Faults[i]
		if x.Probability == 0 {
			continue // nor is it to strike
		}
		var before []string
		met := false
		for _, member := range c.servers() {
			path := spec.Path(topology.Client, member.Name)
			if turn(path, x) < 0 {
				continue
			}
			earlier := c.earlierOn(path, x, c.Faults)
			i := slices.IndexFunc(earlier, c.leavesNothing)
			if i < 0 {
				met = true
			} else if name := earlier[i].Name; !slices.Contains(before, name) {
				before = append(before, name)
			}
		}
		if !met && len(before) > 0 {
			errs = append(errs, fmt.Errorf("fault %s: at %q: no connection ever comes to it: %s, with probability 1, is before it; lower that one or take one of them out",
				x.Name, x.At, strings.Join(before, " and ")))
		}
	}
	return errors.Join(errs...)
}

// leavesNothing says whether a fault strikes every connection that comes to it. What a
// client does instead of a request, or what becomes of the request on its way to the f5,
// ends it only where the f5 waits for the request.
func (c *Config) leavesNothing(f *fault.Fault) bool {
	clients := f.At == topology.Client || f.Clientside() && f.Match == fault.Data
	return f.Probability == 1 && f.Do != fault.RateLimit && !ofLarge(f) && !f.Resolves() && !f.Timed() && (!clients || c.Proxy == nil && c.F5.VirtualServer.Has(bigip.ProfileHTTP))
}
