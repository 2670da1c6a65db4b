package topology_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/hopblame/hopblame/topology"
	"github.com/hopblame/hopblame/topology/labtest"
)

// held is what a process has of the kernel's.
type held struct {
	namespaces  int // network namespaces that a thread is in or a descriptor keeps
	links       int // interfaces of the process's own namespace
	descriptors int
	threads     int
}

// counted counts what the process has; what ends meanwhile is not counted.
func counted(t *testing.T) held {
	t.Helper()
	kept, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	h := held{descriptors: labtest.Descriptors(t), threads: len(threads)}
	for _, thread := range threads {
		kept = append(kept, thread+"/ns/net")
	}
	namespaces := map[string]bool{}
	for _, path := range kept {
		if at, err := os.Readlink(path); err == nil && strings.HasPrefix(at, "net:") {
			namespaces[at] = true
		}
	}
	links, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	h.namespaces, h.links = len(namespaces), strings.Count(string(links), ":")
	return h
}

// A namespace ends with the last descriptor and thread that holds it, and with it all that
// is in it. The runtime keeps some threads of its own, as many as were ever busy at once.
func TestAfterManyLabsTheProcessHoldsWhatItHeldBefore(t *testing.T) {
	const labs, spare = 20, 4 // a lab that leaves a thread leaves a hundred and twenty
	spec := standard(t, topology.IPv4)
	sideBySide := func() {
		var g errgroup.Group
		for range labs {
			g.Go(func() error {
				lab, err := topology.Build(t.Context(), spec)
				if err != nil {
					return err
				}
				return lab.Close()
			})
		}
		if err := g.Wait(); err != nil {
			var unsupported *topology.UnsupportedError
			if errors.As(err, &unsupported) {
				t.Skip(unsupported)
			}
			t.Fatal(err)
		}
	}
	sideBySide() // whatever the first ones set up for good
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	labtest.Await(t, "the first labs are gone", func() bool { return counted(t).namespaces == 1 })
	before := counted(t)
	for _, row := range []struct {
		says  string
		build func()
	}{
		{"one after the other", func() {
			for range labs {
				if err := buildFor(t, spec).Close(); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"at once", sideBySide},
	} {
		row.build()
		labtest.Await(t, row.says+": no namespace, link, descriptor or thread is left", func() bool {
			now := counted(t)
			return now.namespaces == before.namespaces && now.links == before.links && now.descriptors == before.descriptors && now.threads <= before.threads+spare
		})
		t.Logf("%s: %+v, before %+v", row.says, counted(t), before)
	}
	if at, err := os.Readlink("/proc/self/ns/net"); err != nil || at != home {
		t.Errorf("the process is in %s, was in %s, %v", at, home, err)
	}
}
