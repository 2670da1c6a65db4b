package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/hopblame/hopblame/e2e/testkit"
	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/fault"
	"github.com/hopblame/hopblame/topology"
)

// preyEnv tells the test binary to be no test but a run of somebody else's programs,
// to be killed; its value is the directory for their files, where they also work.
const preyEnv = "HOPBLAME_E2E_PREY"

// prey plays a run that is longer than anybody will wait.
func prey(dir string) int {
	err := topology.Sandbox()
	if err == nil {
		err = play(dir)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func play(dir string) error {
	s, err := scenarios.Find("firewall-drops-syn")
	if err != nil {
		return err
	}
	s.Faults = []fault.Fault{synLost("firewall", 0.5)}
	_, err = scenarios.Run(context.Background(), s, scenarios.Options{Requests: 20000, Concurrency: 8, Configure: func(c *sim.Config) {
		components(c, dir, 0, func(*haproxy) {})
	}})
	return err
}

// workingIn counts the processes of each program that work in a directory or below
// it; workers have no arguments by which to know them.
func workingIn(dir string) map[string]int {
	n := map[string]int{}
	all, err := filepath.Glob("/proc/[0-9]*/cwd")
	Expect(err).NotTo(HaveOccurred())
	for _, cwd := range all {
		at, err := os.Readlink(cwd)
		if err != nil || at != dir && !strings.HasPrefix(at, dir+"/") {
			continue
		}
		if exe, err := os.Readlink(filepath.Join(filepath.Dir(cwd), "exe")); err == nil {
			n[filepath.Base(exe)]++
		}
	}
	return n
}

var _ = It("a run that is killed takes HAProxy, nginx, curl and their workers with it", Label(rootless), func(ctx SpecContext) {
	testkit.Require(testkit.Installed("haproxy", "nginx", "curl"))
	self, err := os.Executable()
	Expect(err).NotTo(HaveOccurred())
	before := interfaces()
	atWork := func(dir string) func(Gomega) {
		return func(g Gomega) {
			n := workingIn(dir)
			g.Expect(n["haproxy"]).To(Equal(2), "master and worker")
			g.Expect(n["nginx"]).To(Equal(2*3), "a master and two workers on each server")
			g.Expect(n["curl"]).To(Equal(1))
		}
	}
	for _, moment := range []struct {
		name  string
		after time.Duration // 0: once everything is at work
	}{{"while they start", 60 * time.Millisecond}, {"a little later", 150 * time.Millisecond}, {"at work", 0}} {
		By("killed " + moment.name)
		dir, err := os.MkdirTemp("", "hopblame-e2e-tmp-")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(os.RemoveAll, dir)
		cmd := exec.Command(self)
		cmd.Dir, cmd.Stderr = dir, GinkgoWriter
		cmd.Env = append(os.Environ(), preyEnv+"="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		Expect(cmd.Start()).To(Succeed())
		if moment.after > 0 {
			select { // not a wait for anything: the moment is the subject
			case <-time.After(moment.after):
			case <-ctx.Done():
			}
		} else {
			Eventually(atWork(dir)).WithTimeout(20 * time.Second).Should(Succeed())
		}
		Expect(cmd.Process.Signal(unix.SIGKILL)).To(Succeed())
		Expect(cmd.Wait()).To(MatchError(ContainSubstring("killed")))
		Eventually(func() map[string]int { return workingIn(dir) }).WithTimeout(5*time.Second).Should(BeEmpty(), "processes left")
		Expect(interfaces()).To(Equal(before), "interfaces left")
	}
}, SpecTimeout(time.Minute))
