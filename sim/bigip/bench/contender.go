package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/hopblame/hopblame/sim/client"
	"github.com/hopblame/hopblame/topology"
)

// contender is a proxy and the lab that it stands in.
type contender struct {
	lab    *topology.Lab
	actors []io.Closer
	pid    int // the proxy's
}

// contenders are who takes turns.
type contenders [3]*contender

// Who they are.
const (
	haproxy = iota
	ours
	control
)

func startContenders(ctx context.Context, profile string) (all contenders, err error) {
	for i, c := range []struct {
		name  string
		start starter
	}{haproxy: {"haproxy", startHAProxy}, ours: {"our proxy", startOurs(profile)}, control: {"second haproxy", startHAProxy}} {
		if all[i], err = contend(ctx, c.start); err != nil {
			return all, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return all, nil
}

func (all contenders) close() (err error) {
	for _, c := range all {
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	return err
}

// starter starts a proxy on a lab's f5 and returns when it listens.
type starter func(ctx context.Context, f5 *topology.Host) (*process, error)

// contend builds a lab and starts its servers and that proxy.
func contend(ctx context.Context, start starter) (_ *contender, err error) {
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		return nil, err
	}
	lab, err := topology.Build(ctx, spec)
	if err != nil {
		return nil, err
	}
	c := &contender{lab: lab}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	a := topology.StandardAddresses(topology.IPv4)
	for _, m := range members(a) {
		s, err := serve(lab.Host(m.Name), m.Address)
		if err != nil {
			return nil, err
		}
		c.actors = append(c.actors, s)
	}
	p, err := start(ctx, lab.Host(topology.F5))
	if err != nil {
		return nil, err
	}
	c.pid = p.Process.Pid
	c.actors = append(c.actors, p)
	return c, nil
}

func (c *contender) close() error {
	var errs []error
	for _, a := range c.actors {
		errs = append(errs, a.Close())
	}
	return errors.Join(append(errs, c.lab.Close())...)
}

// turn is what one of them did in a turn, or in several.
type turn struct {
	requests int
	took     time.Duration
	cpu      time.Duration // of the proxy's process: also what its system calls do for others
}

// rate is in requests a second.
func (t turn) rate() float64 { return float64(t.requests) / t.took.Seconds() }

func (t turn) plus(u turn) turn {
	return turn{t.requests + u.requests, t.took + u.took, t.cpu + u.cpu}
}

func (t turn) String() string {
	perRequest := float64(t.cpu.Microseconds()) / float64(t.requests)
	return fmt.Sprintf("%.0f/s (%.0f µs of CPU a request)", t.rate(), perRequest)
}

// take sends a batch through the proxy. A request that fails ends the measurement:
// failing is fast.
func (c *contender) take(ctx context.Context, requests, concurrency int) (t turn, err error) {
	a := topology.StandardAddresses(topology.IPv4)
	runtime.GC() // what the turn before has left is not this one's to clear away
	before, err := cpuTime(c.pid)
	if err != nil {
		return t, err
	}
	start := time.Now()
	records, err := client.Run(ctx, c.lab.Host(topology.Client),
		client.Batch{Server: a.VIP, Local: a.Client, Requests: requests, Concurrency: concurrency})
	if err != nil {
		return t, err
	}
	t = turn{requests: requests, took: time.Since(start)}
	after, err := cpuTime(c.pid)
	if err != nil {
		return t, err
	}
	t.cpu = after - before
	for _, r := range records {
		if r.Outcome != client.OK {
			return t, fmt.Errorf("request %d with %d in flight failed (%s %s) though nothing is broken; repeat it on a machine that is less busy",
				r.Ordinal, concurrency, r.Outcome, r.Detail)
		}
	}
	return t, nil
}

// tick is the unit of CPU time in /proc, whatever the kernel's own (USER_HZ).
const tick = time.Second / 100

// cpuTime reads the user and system time of a process (proc_pid_stat(5), fields 14
// and 15).
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("the proxy's CPU time: %w", err)
	}
	// Field 2, the name, is in parentheses and may hold anything.
	fields := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("the proxy's CPU time: /proc/%d/stat: %q", pid, b)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err, err2)
}
