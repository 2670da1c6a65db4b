package topology_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/hopblame/hopblame/topology"
)

// BenchmarkLab builds the standard lab and closes it, in turns with the least that any
// lab of that shape costs the kernel ([bare]). What an hour on another machine says is
// the ratio; the medians are what the wait is.
func BenchmarkLab(b *testing.B) {
	for _, family := range []topology.Family{topology.IPv4, topology.IPv6} {
		b.Run(string(family), func(b *testing.B) {
			spec := standard(b, family)
			var build, shut, whole, least []time.Duration
			for b.Loop() {
				begin := time.Now()
				lab := buildFor(b, spec)
				built := time.Now()
				if err := lab.Close(); err != nil {
					b.Fatal(err)
				}
				closed := time.Now()
				if err := bare(spec); err != nil {
					b.Fatal(err)
				}
				build = append(build, built.Sub(begin))
				shut = append(shut, closed.Sub(built))
				whole = append(whole, closed.Sub(begin))
				least = append(least, time.Since(closed))
			}
			b.ReportMetric(0, "ns/op") // of both together, which is nobody's
			b.ReportMetric(milliseconds(build), "build-ms")
			b.ReportMetric(milliseconds(shut), "close-ms")
			b.ReportMetric(milliseconds(whole), "lab-ms")
			b.ReportMetric(milliseconds(least), "bare-ms")
			b.ReportMetric(milliseconds(whole)/milliseconds(least), "lab/bare")
		})
	}
}

// BenchmarkHundredLabs builds a hundred labs at once, which all live before the first is
// closed, in turns with as many bare ones.
func BenchmarkHundredLabs(b *testing.B) {
	const labs = 100
	spec := standard(b, topology.IPv4)
	var whole, least []time.Duration
	for b.Loop() {
		begin := time.Now()
		built := make([]*topology.Lab, labs)
		var g errgroup.Group
		for i := range built {
			g.Go(func() (err error) {
				built[i], err = topology.Build(b.Context(), spec)
				return err
			})
		}
		err := g.Wait()
		for _, lab := range built {
			if lab != nil {
				g.Go(lab.Close)
			}
		}
		if err := errors.Join(err, g.Wait()); err != nil {
			b.Fatal(err)
		}
		closed := time.Now()
		for range labs {
			g.Go(func() error { return bare(spec) })
		}
		if err := g.Wait(); err != nil {
			b.Fatal(err)
		}
		whole = append(whole, closed.Sub(begin))
		least = append(least, time.Since(closed))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(milliseconds(whole)/1000, "labs-s")
	b.ReportMetric(milliseconds(least)/1000, "bare-s")
	b.ReportMetric(milliseconds(whole)/milliseconds(least), "labs/bare")
}

// milliseconds is the median.
func milliseconds(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2].Microseconds()) / 1000
}

func standard(t testing.TB, family topology.Family) topology.Spec {
	t.Helper()
	spec, err := topology.Standard(family)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func buildFor(t testing.TB, spec topology.Spec) *topology.Lab {
	t.Helper()
	lab, err := topology.Build(t.Context(), spec)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

// bare makes as many namespaces as a spec has nodes and a veth pair for each link, all
// down and without an address, and lets them go.
func bare(spec topology.Spec) error {
	var g errgroup.Group
	g.Go(func() (err error) {
		runtime.LockOSThread() // never unlocked: it ends in the last namespace
		at := map[string]int{}
		for _, n := range spec.Nodes {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			at[n.Name] = fd
		}
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		for i, link := range spec.Links {
			attrs := netlink.NewLinkAttrs()
			attrs.Name, attrs.Namespace = "a"+string(rune('0'+i)), netlink.NsFd(at[link.A.Node])
			err := nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "b" + string(rune('0'+i)), PeerNamespace: netlink.NsFd(at[link.B.Node])})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}
