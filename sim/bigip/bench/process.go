package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"syscall"

	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/topology"
)

// process is a proxy at work.
type process struct {
	*topology.Cmd
	stop syscall.Signal // asks it to end
	said bytes.Buffer   // on stderr; to be read when it has ended
}

// launch starts a proxy and waits until it listens.
func launch(ctx context.Context, f5 *topology.Host, cmd *topology.Cmd, stop syscall.Signal) (*process, error) {
	p := &process{Cmd: cmd, stop: stop}
	cmd.Stderr = &p.said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	up, ended := context.WithCancelCause(ctx)
	defer ended(nil)
	go func() { // ends with the process, which ends with the lab
		err := cmd.Wait()
		ended(fmt.Errorf("it ended (%v) and said: %s", err, p.said.String()))
	}()
	return p, f5.AwaitListener(up, topology.StandardAddresses(topology.IPv4).VIP)
}

// Close ends the proxy.
func (p *process) Close() error {
	_ = p.Process.Signal(p.stop) // it may have ended
	if err := p.Wait(); err != nil {
		return fmt.Errorf("%s: %w; it said: %s", p.Args[0], err, p.said.String())
	}
	return nil
}

// haproxyConfig is HAProxy as it comes, with a thread for each processor, that opens a
// serverside connection for every request as the f5 does. It writes no log.
const haproxyConfig = `global
	maxconn 1000
	hard-stop-after 1s
defaults
	mode http
	timeout connect 10s
	timeout client 20s
	timeout server 20s
	option http-server-close
	http-reuse never
frontend batch
	bind %s
	default_backend pool
backend pool
	balance roundrobin
	source %s
	server server1 %s
	server server2 %s
`

func startHAProxy(ctx context.Context, f5 *topology.Host) (*process, error) {
	path, err := findHAProxy()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-proxy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // HAProxy reads it once
	config := filepath.Join(dir, "haproxy.cfg")
	a := topology.StandardAddresses(topology.IPv4)
	if err := os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, a.VIP, a.SNAT, a.Server1, a.Server2), 0o600); err != nil {
		return nil, err
	}
	// One process, in the foreground. SIGTERM it leaves to the kernel, which kills no
	// first process of a PID namespace.
	return launch(ctx, f5, f5.Command(ctx, path, "-db", "-f", config), syscall.SIGUSR1)
}

// findHAProxy returns where it is; who is not root may have no sbin in the path.
func findHAProxy() (string, error) {
	var err error
	for _, at := range []string{"haproxy", "/usr/sbin/haproxy"} {
		var path string
		if path, err = exec.LookPath(at); err == nil {
			return path, nil
		}
	}
	return "", &topology.UnsupportedError{Feature: "measuring against HAProxy", Why: "haproxy is not installed",
		Fix: "make tools (Debian: apt-get install haproxy)", Err: err}
}

// oursEnv tells the program that it is to be our proxy. Its value is where to write a
// CPU profile, or [noProfile].
const (
	oursEnv   = "_HOPBLAME_BENCH_OURS"
	noProfile = "-"
)

// startOurs starts this program once more, as the proxy alone.
func startOurs(profile string) starter {
	if profile == "" {
		profile = noProfile
	}
	return func(ctx context.Context, f5 *topology.Host) (*process, error) {
		cmd := f5.Command(ctx, "/proc/self/exe")
		cmd.Env = append(os.Environ(), oursEnv+"="+profile)
		return launch(ctx, f5, cmd, syscall.SIGTERM)
	}
}

// members are the pool.
func members(a topology.Addresses) []bigip.Member {
	return []bigip.Member{{Name: topology.Server1, Address: a.Server1}, {Name: topology.Server2, Address: a.Server2}}
}

// serveAsF5 is our proxy's process, until SIGTERM.
func serveAsF5(profile string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if profile != noProfile {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	f5, leave, err := topology.Inside(topology.F5)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()
	a := topology.StandardAddresses(topology.IPv4)
	p, err := bigip.Start(f5, bigip.Config{
		VirtualServer: bigip.VirtualServer{Name: "/Common/vs_bench", Destination: a.VIP},
		Pool:          bigip.Pool{Members: members(a)},
		SNAT:          bigip.SNAT{SelfIP: a.SNAT},
	}, bigip.Hooks{})
	if err != nil {
		return err
	}
	<-ctx.Done()
	_, err = p.Close()
	return err
}
