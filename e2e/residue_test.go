package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// nobody is the unprivileged user of most systems.
const nobody = 65534

// programEnv names a hopblame that is built already, for who cannot build it:
// nobody has no compiler's cache.
const programEnv = "HOPBLAME_PROGRAM"

// buildProgram builds the hopblame command where any user can run it. Each caller
// gets a file of its own: processes are known by the file they run, and another
// spec's, played at the same time, are not ours to count or to kill.
func buildProgram() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp("", "hopblame-e2e-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)
	Expect(os.Chmod(dir, 0o755)).To(Succeed())
	program := filepath.Join(dir, "hopblame")
	if built := os.Getenv(programEnv); built != "" {
		code, err := os.ReadFile(built)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(program, code, 0o755)).To(Succeed())
		return program
	}
	out, err := exec.Command("go", "build", "-o", program, "../cmd/hopblame").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return program
}

// account says who runs the program.
type account struct {
	name string
	id   *syscall.Credential // nil: whoever runs the suite
}

// accounts are root and nobody for root, else just ourselves.
func accounts() []account {
	us := account{name: "whoever runs the suite"}
	if os.Geteuid() != 0 || !canBecomeNobody() {
		return []account{us}
	}
	return []account{us, {"nobody", &syscall.Credential{Uid: nobody, Gid: nobody}}}
}

// canBecomeNobody: a user namespace with one id in it has no other to become.
func canBecomeNobody() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Contains(string(ids), "4294967295")
}

// processesOf counts running processes of a program.
func processesOf(program string) int { return len(pidsOf(program)) }

func pidsOf(program string) (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	Expect(err).NotTo(HaveOccurred())
	for _, exe := range all {
		if target, err := os.Readlink(exe); err == nil && target == program {
			pid, err := strconv.Atoi(strings.Split(exe, "/")[2])
			Expect(err).NotTo(HaveOccurred())
			pids = append(pids, pid)
		}
	}
	return pids
}

// interfaces lists the interfaces of the suite's own namespace.
func interfaces() []string {
	entries, err := os.ReadDir("/sys/class/net")
	Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// start starts the program in a directory of its own, which is also where it
// would leave temporary files.
func start(program string, who account, args ...string) (cmd *exec.Cmd, tmp string) {
	GinkgoHelper()
	tmp, err := os.MkdirTemp("", "hopblame-e2e-tmp-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, tmp)
	cmd = exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who.id, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = tmp
	cmd.Stderr = GinkgoWriter
	if who.id != nil {
		Expect(os.Chown(tmp, int(who.id.Uid), int(who.id.Gid))).To(Succeed())
	}
	return cmd, tmp
}

var _ = Describe("a run", Label(rootless), func() {
	It("works without root", func(ctx SpecContext) {
		program := buildProgram()
		for _, who := range accounts() {
			By(who.name)
			cmd, _ := start(program, who, "run", "firewall-drops-syn", "--requests", "600", "--seed", "7", "--json")
			out, err := cmd.Output()
			Expect(err).NotTo(HaveOccurred(), string(out))
			Expect(string(out)).To(ContainSubstring(`"valid": true`))
		}
	}, SpecTimeout(2*time.Minute))

	It("that is killed at any moment leaves nothing on the machine", func(ctx SpecContext) {
		program := buildProgram()
		before := interfaces()
		for _, who := range accounts() {
			for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond,
				300 * time.Millisecond, time.Second, 2 * time.Second} {
				By(who.name + ", killed after " + after.String())
				cmd, tmp := start(program, who, "run", "firewall-drops-syn", "--requests", "100000")
				Expect(cmd.Start()).To(Succeed())
				select { // not a wait for anything: the moment is the subject
				case <-time.After(after):
				case <-ctx.Done():
				}
				Expect(cmd.Process.Signal(unix.SIGKILL)).To(Succeed())
				Expect(cmd.Wait()).To(MatchError(ContainSubstring("killed")))
				Eventually(func() int { return processesOf(program) }).WithTimeout(5*time.Second).Should(BeZero(), "processes left")
				left, err := os.ReadDir(tmp)
				Expect(err).NotTo(HaveOccurred())
				Expect(left).To(BeEmpty(), "files left")
				Expect(interfaces()).To(Equal(before), "interfaces left")
			}
		}
	}, SpecTimeout(2*time.Minute))

	It("whose working half is killed, as for want of memory, says so", func(ctx SpecContext) {
		endsEarly("exit status 4", ContainSubstring("was killed (SIGKILL), perhaps for want of memory"), func(_ *exec.Cmd, program string) {
			workers := workersOf(program)
			Expect(workers).To(HaveLen(1))
			Expect(unix.Kill(workers[0], unix.SIGKILL)).To(Succeed())
		})
	}, SpecTimeout(time.Minute))

	It("that is interrupted cleans up and says so", func(ctx SpecContext) {
		endsEarly("exit status 130", Equal("hopblame: interrupted; everything was cleaned up\n"), func(cmd *exec.Cmd, _ string) {
			Expect(cmd.Process.Signal(unix.SIGINT)).To(Succeed())
		})
	}, SpecTimeout(time.Minute))
})

// endsEarly starts runs, ends each by what is done to it, and sees how it exits, what it says,
// and that nothing is left: as soon as its working half is there and has done nothing yet,
// several times, and while it is at work.
func endsEarly(exit string, says OmegaMatcher, end func(cmd *exec.Cmd, program string)) {
	GinkgoHelper()
	program := buildProgram()
	for _, m := range []struct {
		when   string
		reach  func(program string) error
		rounds int
	}{
		{"as soon as it is there", hasWorker, 10},
		{"while it is at work", threadsInLab, 1},
	} {
		for range m.rounds {
			By(m.when)
			cmd, tmp := start(program, account{}, "run", "firewall-drops-syn", "--requests", "100000")
			var said strings.Builder
			cmd.Stderr = &said
			Expect(cmd.Start()).To(Succeed())
			Eventually(func() error { return m.reach(program) }).WithTimeout(5 * time.Second).WithPolling(time.Millisecond).Should(Succeed())
			end(cmd, program)
			Expect(cmd.Wait()).To(MatchError(exit), m.when)
			Expect(said.String()).To(says)
			Expect(processesOf(program)).To(BeZero())
			left, err := os.ReadDir(tmp)
			Expect(err).NotTo(HaveOccurred())
			Expect(left).To(BeEmpty())
		}
	}
}

// workersOf are the processes in which a program does its work, in its sandbox. Its
// environment tells one: of Go's own there is a child for an instant too, by which it
// learns what the kernel can.
func workersOf(program string) (pids []int) {
	for _, pid := range pidsOf(program) {
		env, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
		if err == nil && strings.Contains(string(env), "_HOPBLAME_SANDBOX=") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasWorker succeeds once the program has started itself again.
func hasWorker(program string) error {
	if len(workersOf(program)) == 0 {
		return os.ErrNotExist
	}
	return nil
}

// threadsInLab succeeds once the program has threads in namespaces of a lab. One
// namespace is none yet: a sandbox tries out whether it may have one.
func threadsInLab(program string) error {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	tasks, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	hosts := map[string]bool{}
	for _, t := range tasks {
		process := strings.Split(t, "/")[2]
		exe, _ := os.Readlink("/proc/" + process + "/exe")
		if at, err := os.Readlink(t); err == nil && exe == program && at != home {
			hosts[at] = true
		}
	}
	if len(hosts) < 2 {
		return os.ErrNotExist
	}
	return nil
}
