// Command bench measures the speed of the lab's full proxy against HAProxy's.
//
// Each proxy stands at the f5 of a standard lab of its own, all alike: our client
// sends POSTs without keep-alive, the firewall forwards, a lean server answers at
// server1 and server2. Nothing is captured and nothing is broken. Each proxy is a
// process of its own, ours as well, and opens a serverside connection for every
// request. What a proxy leaves in its lab — the f5's nftables rule, ports in TIME_WAIT —
// can so slow down nobody but itself.
//
// They send in turns of some tenths of a second: HAProxy, ours, control, control,
// ours, HAProxy is a round, and in the next one another begins. Whatever else slows
// the machine down meets all of them alike. A round's ratio is that of the requests a
// second in it; printed are the median of the rounds and, in brackets, their extremes.
// The control is a second HAProxy, configured like the first: what its ratio is off 1
// is the machine's doing.
//
// Client, proxy and servers share the processors, two of them whatever the machine
// has. Those are busy all the time, so that a ratio tells what a request costs in all;
// the proxy's own part in it is printed too. With processors to spare the client would
// set the pace, and any two proxies be equally fast. HAProxy has, as it comes, a
// thread for each of the two processors; ours has its one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/hopblame/hopblame/topology"
	"golang.org/x/sys/unix"
)

// Exit codes, as those of hopblame.
const (
	exitUsage       = 2
	exitUnsupported = 3
	exitFailed      = 4
)

func main() {
	if profile := os.Getenv(oursEnv); profile != "" {
		exit(serveAsF5(profile))
	}
	if err := fewProcessors(); err != nil {
		exit(err)
	}
	if err := topology.Sandbox(); err != nil {
		exit(err)
	}
	// With as many threads as processors client and servers would wait for each
	// other (see package sim).
	runtime.GOMAXPROCS(2 * processors)
	var p plan
	flag.DurationVar(&p.time, "for", 50*time.Second, "how long to measure in all; there are as many rounds as fit in")
	flag.IntVar(&p.requests, "requests", 1000, "requests of a turn")
	flag.StringVar(&p.profile, "cpuprofile", "", "`file` to write our proxy's CPU profile to")
	flag.Parse()
	if flag.NArg() > 0 || p.time <= 0 || p.requests < 1 {
		flag.Usage()
		os.Exit(exitUsage)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(p.run(ctx, os.Stdout))
}

// exit ends the program with the code that an error stands for.
func exit(err error) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench-proxy: "+err.Error())
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		os.Exit(exitUnsupported)
	}
	os.Exit(exitFailed)
}

// processors is how many all the actors share.
const processors = 2

// fewProcessors keeps the process, and those it starts, to the first of the
// processors it may use. It must be called on the main thread and before
// [topology.Sandbox] starts the program again: a Go program counts them when it
// starts.
func fewProcessors() error {
	var all, few unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return fmt.Errorf("processors: %w", err)
	}
	for cpu := 0; few.Count() < min(processors, all.Count()); cpu++ {
		if all.IsSet(cpu) {
			few.Set(cpu)
		}
	}
	if err := unix.SchedSetaffinity(0, &few); err != nil {
		return fmt.Errorf("processors: %w", err)
	}
	return nil
}

// plan is how to measure.
type plan struct {
	time     time.Duration // in all
	requests int           // of a turn
	profile  string        // file for our proxy's; "" for none
}

// concurrencies are how many requests are in flight.
var concurrencies = []int{64, 512}

// run measures at each concurrency and prints what came out.
func (p plan) run(ctx context.Context, out io.Writer) (err error) {
	all, err := startContenders(ctx, p.profile)
	defer func() { err = errors.Join(err, all.close()) }()
	if err != nil {
		return err
	}
	for _, concurrency := range concurrencies {
		m, err := p.measure(ctx, all, concurrency)
		if err != nil {
			return err
		}
		if err := m.print(out); err != nil {
			return err
		}
	}
	return nil
}
