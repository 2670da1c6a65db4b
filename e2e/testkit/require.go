package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/topology"
)

// mustRunEnv is set to 1 where nothing may be skipped, as in CI: a machine that cannot do
// what a spec needs fails it.
const mustRunEnv = "HOPBLAME_MUST_RUN"

// Need is something that a spec needs of the machine. It returns nil if it is there, a
// [topology.UnsupportedError] that says what to do about it if it is not, and any other
// error for what should have worked.
type Need func() error

// Require skips the spec, with the reason, where a need is not met; with
// HOPBLAME_MUST_RUN=1 in the environment it fails it. Any error but a
// [topology.UnsupportedError] fails it always. [Run] does the same by itself: Require is
// for who wants to know before.
func Require(needs ...Need) {
	ginkgo.GinkgoHelper()
	for _, need := range needs {
		if err := need(); err != nil {
			cannot("", err)
		}
	}
}

// cannot ends the spec for an error, what being in front of it.
func cannot(what string, err error) {
	ginkgo.GinkgoHelper()
	var unsupported *topology.UnsupportedError
	switch {
	case !errors.As(err, &unsupported):
		ginkgo.Fail(what + err.Error())
	case !mainCalled && !isProgram(unsupported):
		ginkgo.Fail(what + unsupported.Error() + "\nThis suite was not started in a sandbox: give it func TestMain(m *testing.M) { testkit.Main(m) }")
	case os.Getenv(mustRunEnv) == "1":
		ginkgo.Fail(what + unsupported.Error() + "\n" + mustRunEnv + "=1: nothing may be skipped here")
	}
	ginkgo.Skip(unsupported.Error())
}

// isProgram says whether what is missing is a program, which no sandbox brings.
func isProgram(e *topology.UnsupportedError) bool { return errors.Is(e, exec.ErrNotFound) }

// labPatience is far more than a lab takes to be built.
const labPatience = 30 * time.Second

// Lab is the need of a lab: namespaces, interfaces, bridges.
func Lab() error {
	ctx, cancel := context.WithTimeout(context.Background(), labPatience)
	defer cancel()
	spec, err := topology.Standard(topology.IPv4)
	if err != nil {
		return err
	}
	lab, err := topology.Build(ctx, spec)
	if err != nil {
		return err
	}
	return lab.Close()
}

// Installed is the need of programs, by name or path.
func Installed(programs ...string) Need {
	return func() error {
		for _, name := range programs {
			if _, err := lookUp(name); err != nil {
				return err
			}
		}
		return nil
	}
}

// packages are what Debian calls the packages of some programs.
var packages = map[string]string{"nginx": "nginx-light", "h2load": "nghttp2-client"}

// lookUp returns where a program is; who is not root may have no sbin in the path.
func lookUp(name string) (string, error) {
	var err error
	for _, at := range []string{name, filepath.Join("/usr/sbin", name)} {
		path, e := exec.LookPath(at)
		if e == nil {
			return path, nil
		}
		if err == nil {
			err = e
		}
	}
	in := packages[name]
	if in == "" {
		in = name
	}
	return "", &topology.UnsupportedError{Feature: "running " + name, Why: "it is not installed",
		Fix: fmt.Sprintf("install it (Debian: apt-get install %s)", in), Err: errors.Join(exec.ErrNotFound, err)}
}
