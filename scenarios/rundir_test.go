package scenarios

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/capture"
	"golang.org/x/sys/unix"
)

// tree lists everything below a folder, with what the files hold.
func tree(t *testing.T, root string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || d.IsDir() {
			list = append(list, name+"/")
			return err
		}
		b, err := os.ReadFile(path)
		list = append(list, name+": "+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestARunDirectoryThatHoldsFilesIsRefusedAndLeftAlone(t *testing.T) {
	for _, row := range []struct {
		name  string
		files []string
		want  error
	}{
		{"a directory there is not yet", nil, nil},
		{"an empty one", []string{"./"}, nil},
		{"one prepared by a run that was refused its disk space", []string{"captures/", "truth/"}, nil},
		{"one with one file of the user's", []string{"notes.txt"}, ErrNotEmpty},
		{"one with one hidden file", []string{".gitignore"}, ErrNotEmpty},
		{"one with one other folder", []string{"src/"}, ErrNotEmpty},
		{"one with two files", []string{"a", "b"}, ErrNotEmpty},
		{"one with a run's captures", []string{"captures/f5-0.0.pcapng", "truth/"}, ErrNotEmpty},
		{"one with a run's truth alone", []string{"truth/ledger.ndjson"}, ErrNotEmpty},
		{"one with a run's result", []string{"captures/", "truth/", "result.json"}, ErrNotEmpty},
		{"one with a file called captures", []string{"captures"}, errAny},
	} {
		for _, name := range []string{"out", "out[1]", "deep/er/out"} { // one that is a pattern to path.Match
			t.Run(row.name+" in "+name, func(t *testing.T) {
				root := t.TempDir()
				dir := filepath.Join(root, name)
				for _, f := range row.files {
					if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755); err != nil {
						t.Fatal(err)
					}
					if folder, isFolder := strings.CutSuffix(f, "/"); isFolder {
						if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
							t.Fatal(err)
						}
					} else if err := os.WriteFile(filepath.Join(dir, f), []byte("mine"), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				before := tree(t, root)
				_, err := openRunDir(dir, 1)
				if row.want == nil {
					if err != nil {
						t.Fatal(err)
					}
					if got := tree(t, dir); !slices.Equal(got, []string{"captures/", "truth/"}) {
						t.Errorf("got %v", got)
					}
					return
				}
				if err == nil || row.want != errAny && !errors.Is(err, row.want) {
					t.Errorf("got %v, want %v", err, row.want)
				}
				if diff := cmp.Diff(before, tree(t, root)); diff != "" {
					t.Errorf("it was changed: want - got +\n%s", diff)
				}
			})
		}
	}
}

var errAny = errors.New("any error")

func TestADiskThatIsTooSmallIsRefusedBeforeTheRun(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "not", "there")
	_, err := openRunDir(dir, 1<<50)
	if !errors.Is(err, ErrNoSpace) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v, want ErrNoSpace", err)
	}
	if got := tree(t, root); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	t.Setenv("TMPDIR", root)
	if _, err := openRunDir("", 1<<50); !errors.Is(err, ErrNoSpace) {
		t.Errorf("without a directory: got %v, want ErrNoSpace", err)
	}
}

func TestCapturesNobodyKeepsHaveNoName(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	d, err := openRunDir("", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	p := &capture.Point{Hop: "f5", Face: "0.0"}
	w, err := d.create(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "frames"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, os.TempDir()); len(left) > 0 {
		t.Errorf("kill -9 would leave %v", left)
	}
	points, err := d.writePoints(&sim.Facts{Captures: []capture.Result{{Point: *p}}})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(points[0].Path); err != nil || string(b) != "frames" {
		t.Errorf("the analyzer reads %q, %v", b, err)
	}
}

func TestTheResultIsWrittenLastAndWholeOrNotAtAll(t *testing.T) {
	result := func() *Result {
		return &Result{SchemaVersion: SchemaVersion, Scenario: "x", Report: &analyzer.Report{SchemaVersion: 1, Verdicts: []analyzer.Verdict{}}}
	}
	for _, row := range []struct {
		name    string
		prepare func(dir string, r *Result)
		want    []string // files afterwards
	}{
		{"all is well", func(string, *Result) {}, []string{"captures", "report.html", "result.json", "truth", "verdicts.json"}},
		{"the verdicts cannot be written", func(dir string, _ *Result) {
			if err := os.MkdirAll(filepath.Join(dir, "verdicts.json", "x"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"captures", "truth", "verdicts.json"}},
		{"the result cannot be put into words", func(_ string, r *Result) { r.Timing.Build = nan() }, []string{"captures", "report.html", "truth", "verdicts.json"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			d, err := openRunDir(dir, 1)
			if err != nil {
				t.Fatal(err)
			}
			r := result()
			row.prepare(dir, r)
			err = d.writeResult(t.Context(), nil, r, "")
			if whole := slices.Contains(row.want, "result.json"); whole != (err == nil) {
				t.Errorf("got error %v", err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.Name())
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
		})
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

// A reader that watches the directory must never see half a result.
func TestAFileAppearsUnderItsNameOnlyWhenItIsWhole(t *testing.T) {
	dir := t.TempDir()
	d := &runDir{path: dir}
	err := d.writeWhole("result.json", func(w io.Writer) error {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		if exists(filepath.Join(dir, "result.json")) {
			t.Error("half of the file is there")
		}
		return nil
	})
	if i, statErr := os.Stat(filepath.Join(dir, "result.json")); err != nil || statErr != nil || i.Size() != 1<<20 || i.Mode().Perm() != 0o644 {
		t.Errorf("got %v, %v, %v", i, err, statErr)
	}
	if err := d.writeWhole("other.json", func(io.Writer) error { return unix.ENOSPC }); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if got := tree(t, dir); len(got) != 1 {
		t.Errorf("left behind: %d files", len(got))
	}
}

// smallDisk mounts a disk of its own for the test; it goes with the sandbox, of
// which the tests are root.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size)
	if errors.Is(err, unix.EPERM) {
		t.Skip("no file system can be mounted here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestADiskThatFillsUpDuringARunGivesAnErrorAndNoResult(t *testing.T) {
	disk := smallDisk(t, "90m")
	out := filepath.Join(disk, "out")
	s := quick(t, "no-fault")
	seed := uint64(1)
	var full bool
	_, err := Run(t.Context(), s, Options{Requests: 1000, Seed: &seed, Out: out, Progress: func(p Progress) {
		// Its room ends once the run has begun, as if somebody else had taken it.
		if !full && p.Phase == "build" {
			full = true
			if err := unix.Mount("", disk, "", unix.MS_REMOUNT, "size=128k"); err != nil {
				t.Error(err)
			}
		}
	}})
	skipUnsupported(t, err)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want that no space is left", err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run that failed left:\n%.300s", strings.Join(tree(t, out), "\n"))
	}
}

func TestTwoRunsDoNotShareADirectory(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	first, err := openRunDir(out, 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := openRunDir(out, 1) // before the first has written anything
	if err != nil {
		t.Fatal(err)
	}
	point := &capture.Point{Hop: "client", Face: "eth0"}
	f, err := first.create(point)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f, err := second.create(point); f != nil || err == nil || !strings.Contains(err.Error(), "another run writes to the same directory") {
		t.Errorf("got %v, %v", f, err)
	}
	if err := second.abandon(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(out, "captures", "client-eth0.pcapng")); err != nil {
		t.Error("the second run took the first one's capture along:", err)
	}
	f.Close()
	if err := first.abandon(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Error("the first run's directory is left")
	}
}

func TestADiskThatIsFullWhenTheTruthIsWritten(t *testing.T) {
	disk := smallDisk(t, "90m")
	d, err := openRunDir(filepath.Join(disk, "out"), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", disk, "", unix.MS_REMOUNT, "size=16k"); err != nil {
		t.Fatal(err)
	}
	facts := &sim.Facts{}
	truths := make([]Truth, 5000)
	for i := range truths {
		truths[i] = failed(i, dropped)
	}
	err = d.writeTruth(facts, truths)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "truth/requests.ndjson") {
		t.Errorf("got %v", err)
	}
}
