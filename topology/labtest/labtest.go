// Package labtest builds labs for tests.
package labtest

import (
	"errors"
	"testing"

	"github.com/hopblame/hopblame/topology"
)

// Build builds the standard lab, with a middle in the named links, and closes it
// with the test. It skips the test only where the machine says, by type, that it
// cannot build labs.
func Build(t *testing.T, f topology.Family, middles ...string) *topology.Lab {
	t.Helper()
	spec, err := topology.Standard(f)
	for _, m := range middles {
		if err == nil {
			spec, err = spec.WithMiddle(m)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return BuildSpec(t, spec)
}

// BuildSpec is Build for a lab of one's own.
func BuildSpec(t *testing.T, spec topology.Spec) *topology.Lab {
	t.Helper()
	lab, err := topology.Build(t.Context(), spec)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	return lab
}
