package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/sim/ground"
	"github.com/hopblame/hopblame/topology"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newDoctor() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can and cannot do, and the fix",
		Long: `Say which fault needs what of the machine, and try it: whether the kernel drops what
and how often it is told, whether the ledger keeps up with it, whether the taps keep up
with a burst. Then play one small run. It takes some seconds.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &diagnosis{printer: printer{w: c.OutOrStdout(), color: wantsColor(c.OutOrStdout())}, quiet: asJSON}
			err := sandbox()
			d.machine()
			if err != nil {
				d.add(check{Of: "isolation", Needs: "namespaces", err: err})
			} else {
				d.add(check{Of: "isolation", Found: isolation()})
				d.ground(c.Context())
				d.play(c.Context())
				if c.Context().Err() != nil {
					return c.Context().Err()
				}
				d.programs()
			}
			if asJSON {
				d.json()
			} else if d.healthy() {
				d.line("%s", d.bold("This machine can run every scenario."))
			}
			if d.err == nil && !d.healthy() {
				return &codeError{code: exitUnsupported}
			}
			return d.err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print the checks as JSON")
	return c
}

// diagnosis prints its checks one by one, as they are made, or all at once.
type diagnosis struct {
	printer
	quiet  bool
	checks []check
}

// check is one thing that was looked at.
type check struct {
	Of       string          `json:"of"`
	Needs    string          `json:"needs,omitempty"`
	Family   topology.Family `json:"family,omitempty"`
	OK       bool            `json:"ok"`
	Optional bool            `json:"optional,omitempty"` // of use, and not needed
	Found    string          `json:"found,omitempty"`    // figures
	Error    string          `json:"error,omitempty"`

	err error
}

func (d *diagnosis) add(c check) {
	c.OK = c.err == nil
	mark := mark(c.OK)
	if !c.OK {
		c.Error = oneLine(c.err)
	}
	if c.Optional && !c.OK {
		mark = "–"
	}
	d.checks = append(d.checks, c)
	if d.quiet {
		return
	}
	detail := c.Found
	if !c.OK {
		detail = c.Error
	}
	if c.Family != "" {
		d.line("  %s %s: %s", mark, c.Family, detail)
		return
	}
	d.line("%s %-22s %s", mark, c.Of, detail)
}

// healthy says whether all that is needed is there.
func (d *diagnosis) healthy() bool {
	for _, c := range d.checks {
		if !c.OK && !c.Optional {
			return false
		}
	}
	return true
}

func (d *diagnosis) json() {
	d.err = errors.Join(d.err, writeJSON(d.w, struct {
		SchemaVersion int     `json:"schema_version"`
		OK            bool    `json:"ok"`
		Checks        []check `json:"checks"`
	}{scenarios.SchemaVersion, d.healthy(), d.checks}))
}

func (d *diagnosis) machine() {
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		d.add(check{Of: "kernel", Found: unix.ByteSliceToString(u.Release[:]) + ", " + fmt.Sprint(runtime.NumCPU()) + " processors"})
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &fs); err == nil {
		free := fs.Bavail * uint64(fs.Bsize)
		d.add(check{Of: "disk", Found: fmt.Sprintf("%d MB free in %s; 100,000 requests take about 1,300", free>>20, os.TempDir())})
	}
	if b, err := os.ReadFile("/proc/sys/net/core/rmem_max"); err == nil {
		d.add(check{Of: "ledger's buffer", Found: "at most " + strings.TrimSpace(string(b)) + " bytes without root (net.core.rmem_max)"})
	}
}

// isolation says what the sandbox came to.
func isolation() string {
	if os.Getpid() == 1 {
		return "in PID and mount namespaces of its own" + rights() + "; nothing outlives kill -9"
	}
	return "without a PID namespace (/proc cannot be mounted here); a foreign program's children may outlive kill -9"
}

// rights says where the rights come from that a lab needs.
func rights() string {
	if owner, err := os.ReadFile("/proc/self/uid_map"); err == nil && len(strings.Fields(string(owner))) == 3 && strings.Fields(string(owner))[1] != "0" {
		return ", and root in a user namespace, which every fault needs here"
	}
	return ""
}

// trialPatience is for a trial that takes tenths of a second.
const trialPatience = 10 * time.Second

// ground tries what faults need: what measures speed by itself, and the rest together, for
// most of a trial is waiting for a lab to be quiet.
func (d *diagnosis) ground(ctx context.Context) {
	var together, alone []need
	for _, t := range ground.Trials() {
		n := need{t.Of, t.Needs, func(family topology.Family) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, trialPatience)
			defer cancel()
			return t.Run(ctx, family)
		}}
		if t.Alone {
			alone = append(alone, n)
		} else {
			together = append(together, n)
		}
	}
	d.try(ctx, len(families)*len(together), together)
	d.try(ctx, 1, alone)
	if ctx.Err() != nil {
		return
	}
	for _, do := range fault.Treatments() {
		d.add(d.fault(do))
	}
	if !d.quiet {
		d.line("%s: need nothing else", d.bold(strings.Join(ground.Unneeding(), ", ")))
	}
}

// fault says whether all is there that a fault of packets needs, by what was found.
func (d *diagnosis) fault(do fault.Do) check {
	needs := ground.Needs(do)
	c := check{Of: "fault: " + string(do), Found: "needs " + strings.Join(needs, "; ")}
	var lacks []string
	for _, found := range d.checks {
		if slices.Contains(needs, found.Of) && !found.OK {
			lacks = append(lacks, found.Of+" ("+string(found.Family)+")")
		}
	}
	if len(lacks) > 0 {
		c.err = errors.New("cannot be here: " + strings.Join(lacks, "; "))
	}
	return c
}

// need is what something needs of the machine, and a way to see whether it is there.
type need struct {
	of, needs string
	try       func(topology.Family) (found string, err error)
}

var families = []topology.Family{topology.IPv4, topology.IPv6}

// try tries needs in both families, so many at a time, and adds what came of them in order.
func (d *diagnosis) try(ctx context.Context, atOnce int, needs []need) {
	turns, checks := make(chan struct{}, atOnce), make([]check, len(needs)*len(families))
	var wg sync.WaitGroup
	for i := range checks {
		n, c := &needs[i/len(families)], &checks[i]
		*c = check{Of: n.of, Needs: n.needs, Family: families[i%len(families)]}
		turns <- struct{}{}
		wg.Go(func() {
			c.Found, c.err = n.try(c.Family)
			<-turns
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return // it is no fault of the machine's that it did not get done
	}
	for i, c := range checks {
		if i%len(families) == 0 && !d.quiet {
			d.line("%s: needs %s", d.bold(c.Of), c.Needs)
		}
		d.add(c)
	}
}

// doctorRequests is enough for some to be hit and some not.
const doctorRequests = 60

// play is a whole run in each family, small: actors, a fault, a firewall whose table gets
// full, and captures, together.
func (d *diagnosis) play(ctx context.Context) {
	if ctx.Err() != nil || !d.healthy() {
		return // it would fail for the same reason
	}
	d.try(ctx, len(families), []need{{"a whole run, with a stateful firewall", "sets of nf_tables that packets add to, and that forget", doctorRun(ctx)}})
}

// doctorRun is the run of a family.
func doctorRun(ctx context.Context) func(topology.Family) (string, error) {
	return func(family topology.Family) (string, error) {
		facts, err := sim.Run(ctx, sim.Config{
			Family: family, Requests: doctorRequests, Concurrency: doctorRequests, Seed: 1,
			F5: bigip.Config{Serverside: bigip.Fast}, Firewall: firewall.Config{MaxSessions: doctorRequests / 2},
			Faults: []fault.Fault{{Name: "doctor", At: "link:f5-firewall", Direction: fault.ToServer, Match: fault.SYN, Do: fault.Drop, Per: fault.PerConnection, Probability: 0.3}},
			Create: func(*capture.Point) (io.WriteCloser, error) { return nowhere{}, nil },
		})
		if err != nil {
			return "", err
		}
		packets := uint64(0)
		for _, c := range facts.Captures {
			packets += c.Packets
		}
		found := fmt.Sprintf("valid: %d requests, %d packets dropped, all in the ledger; %d captured, none lost", doctorRequests, len(facts.Ledger), packets)
		if problems := facts.Check(); len(problems) > 0 {
			err = errors.New("INVALID: " + strings.Join(problems, "; "))
		}
		return found, err
	}
}

// nowhere takes captures that nobody will read.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Close() error                { return nil }

// programs lists what is of use and not needed.
func (d *diagnosis) programs() {
	for _, p := range []struct{ name, use string }{
		{"tshark", "reads the captures as Wireshark does"},
		{"curl", "can stand in for the client"},
		{"haproxy", "can stand in for the f5"},
		{"nginx", "can stand in for the servers"},
	} {
		c := check{Of: p.name, Optional: true}
		if path, err := exec.LookPath(p.name); err == nil {
			c.Found = path
		} else {
			c.err = fmt.Errorf("not installed; not needed (%s)", p.use)
		}
		d.add(c)
	}
}
