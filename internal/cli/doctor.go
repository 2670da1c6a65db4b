package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/sim/firewall"
	"github.com/hopblame/hopblame/topology"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can and cannot do, and the fix",
		Long: `Build a lab, break it at each place a fault can be, and see whether the kernel drops
what it is told, whether the ledger holds what it dropped, and whether the taps keep up.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d := &diagnosis{printer: printer{w: c.OutOrStdout(), color: wantsColor(c.OutOrStdout())}}
			err := topology.Sandbox()
			d.machine()
			if err != nil {
				d.verdict("isolation", err)
				return &codeError{code: exitUnsupported}
			}
			d.ok("isolation", isolation())
			d.lab(c.Context())
			d.programs()
			switch {
			case d.err != nil:
				return d.err
			case c.Context().Err() != nil:
				return c.Context().Err()
			case d.broken:
				return &codeError{code: exitUnsupported}
			}
			d.line("%s", d.bold("This machine can run every scenario."))
			return d.err
		},
	}
}

// diagnosis prints one line a check.
type diagnosis struct {
	printer
	broken bool
}

func (d *diagnosis) ok(what, detail string) { d.line("✓ %-22s %s", what, detail) }

func (d *diagnosis) verdict(what string, err error) {
	d.broken = true
	d.line("✗ %-22s %s", what, oneLine(err))
}

func (d *diagnosis) machine() {
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		d.ok("kernel", unix.ByteSliceToString(u.Release[:])+", "+fmt.Sprint(runtime.NumCPU())+" processors")
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &fs); err == nil {
		free := fs.Bavail * uint64(fs.Bsize)
		d.ok("disk", fmt.Sprintf("%d MB free in %s; 100,000 requests take about 1,300", free>>20, os.TempDir()))
	}
	if b, err := os.ReadFile("/proc/sys/net/core/rmem_max"); err == nil {
		d.ok("ledger's buffer", "at most "+strings.TrimSpace(string(b))+" bytes without root (net.core.rmem_max)")
	}
}

// isolation says what the sandbox came to.
func isolation() string {
	if os.Getpid() == 1 {
		return "in PID and mount namespaces of its own; nothing outlives kill -9"
	}
	return "without a PID namespace (/proc cannot be mounted here); a foreign program's children may outlive kill -9"
}

// doctorRequests is enough for some to be hit and some not.
const doctorRequests = 60

// lab plays a small batch for each family and each place a fault can be.
func (d *diagnosis) lab(ctx context.Context) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		spec, err := topology.Standard(family)
		if err != nil {
			d.verdict(string(family), err)
			return
		}
		faults := []fault.Fault{{At: topology.Firewall, Direction: fault.ToClient, Match: fault.SYNACK, Per: fault.PerConnection}}
		for _, at := range fault.Places(&spec, fault.SYN) {
			ways := []fault.Per{fault.PerConnection}
			if at == topology.Firewall { // the ways to pick are the same everywhere
				ways = append(ways, fault.PerTuple, fault.PerPacket)
			}
			for _, per := range ways {
				faults = append(faults, fault.Fault{At: at, Direction: fault.ToServer, Match: fault.SYN, Per: per})
			}
		}
		for _, f := range faults {
			f.Name, f.Do, f.Probability = "doctor", fault.Drop, 0.3
			d.play(ctx, family, strings.TrimPrefix(f.At, "link:"), fmt.Sprintf("%s per %s", f.Match, f.Per), sim.Config{Faults: []fault.Fault{f}})
			if d.broken || ctx.Err() != nil {
				return
			}
		}
		d.play(ctx, family, topology.Firewall, "session table", sim.Config{Firewall: firewall.Config{MaxSessions: doctorRequests / 2}})
		if d.broken || ctx.Err() != nil {
			return
		}
	}
}

// play runs a small batch through what c has of breakage, at a place and of a kind, and
// sees whether the run is valid.
func (d *diagnosis) play(ctx context.Context, family topology.Family, at, kind string, c sim.Config) {
	what := fmt.Sprintf("%s %s", family, at)
	c.Family, c.Requests, c.Concurrency, c.Seed, c.F5.Serverside = family, doctorRequests, doctorRequests, 1, bigip.Fast
	c.Create = func(*capture.Point) (io.WriteCloser, error) { return nowhere{}, nil }
	facts, err := sim.Run(ctx, c)
	if err == nil {
		if problems := facts.Check(); len(problems) > 0 {
			err = errors.New(strings.Join(problems, "; "))
		}
	}
	if err != nil {
		d.verdict(what, fmt.Errorf("%s: %w", kind, err))
		return
	}
	packets := uint64(0)
	for _, c := range facts.Captures {
		packets += c.Packets
	}
	d.ok(what, fmt.Sprintf("%s: %d packets dropped, all in the ledger; %d captured, none lost", kind, len(facts.Ledger), packets))
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
		if path, err := exec.LookPath(p.name); err == nil {
			d.ok(p.name, path)
		} else {
			d.line("– %-22s not installed; not needed (%s)", p.name, p.use)
		}
	}
}
