package scenarios

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/internal/wholefile"
	"github.com/hopblame/hopblame/sim"
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"golang.org/x/sys/unix"
)

// runDir is where a run's files go: a directory of the user's, or, with none
// given, files without a name, which end with the process however it ends.
type runDir struct {
	path    string
	files   map[string]string   // by point, as shown: captures/POINT.pcapng
	unnamed map[string]*os.File // by point
	kept    map[string]string   // by point: truth/captures/POINT.pcapng, where an observer's fault changed the one above
	missed  map[string]bool     // points that nobody is told of
	keys    *os.File            // key log of the client's TLS; nil if there is none
	made    []string            // folders that were not there before, innermost first
	wrote   []string            // files that are this run's own
}

// Sizes of captures, per request and in all: measured on the standard lab, with
// some to spare.
const (
	bytesPerRequest = 13 << 10
	bytesToSpare    = 64 << 20
)

// ErrNotEmpty says that a run directory holds other files already.
var ErrNotEmpty = errors.New("holds other files already")

// openRunDir prepares a run directory, which must be empty: the files of two runs
// must not be taken for one. A directory that is refused is left as it was.
func openRunDir(path string, requests int) (*runDir, error) {
	d := &runDir{path: path, files: map[string]string{}, unnamed: map[string]*os.File{}, kept: map[string]string{}, missed: map[string]bool{}}
	if path == "" {
		return d, checkSpace(os.TempDir(), requests)
	}
	if err := checkEmpty(path); err != nil {
		return nil, err
	}
	parent := path
	for !exists(parent) && parent != filepath.Dir(parent) {
		parent = filepath.Dir(parent)
	}
	if err := checkSpace(parent, requests); err != nil {
		return nil, err
	}
	for _, sub := range runDirFolders {
		folder := filepath.Join(path, sub)
		for at := folder; !exists(at); at = filepath.Dir(at) {
			if !slices.Contains(d.made, at) {
				d.made = append(d.made, at)
			}
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("run directory: %w; give another --out", err), d.abandon())
		}
	}
	slices.SortFunc(d.made, func(a, b string) int { return len(b) - len(a) })
	return d, nil
}

// runDirFolders are made before the run: what comes first fails first.
var runDirFolders = []string{"captures", "truth"}

// checkEmpty says whether a run directory is free: not there, or without files.
func checkEmpty(path string) error {
	for _, folder := range append([]string{"."}, runDirFolders...) {
		entries, err := os.ReadDir(filepath.Join(path, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("run directory: %w", err)
		}
		for _, e := range entries {
			if folder != "." || !e.IsDir() || !slices.Contains(runDirFolders, e.Name()) {
				return fmt.Errorf("run directory %s %w, %s for one: choose another or empty it",
					path, ErrNotEmpty, filepath.Join(folder, e.Name()))
			}
		}
	}
	return nil
}

// Room is how many bytes of disk the captures of s may take: what is asked of a disk before
// a run, and seldom used up.
func (s *Scenario) Room() int64 {
	return int64(room(s.captured(s.Config(0).Requests)))
}

// captured is for how many requests there are captures: where the observer has faults they
// are there twice, as they were, and as the analyzer gets them.
func (s *Scenario) captured(requests int) int {
	if len(s.Observe.Faults) > 0 {
		return 2 * requests
	}
	return requests
}

func room(requests int) uint64 { return uint64(requests)*bytesPerRequest + bytesToSpare }

// checkSpace sees that the captures will fit.
func checkSpace(at string, requests int) error {
	var disk unix.Statfs_t
	if err := unix.Statfs(at, &disk); err != nil {
		return fmt.Errorf("run directory %s: %w", at, err)
	}
	need := room(requests)
	if free := disk.Bavail * uint64(disk.Bsize); free < need {
		return fmt.Errorf("%w: the captures of %d requests take about %d MB and %s has %d MB left; give --out on another disk, or fewer --requests",
			ErrNoSpace, requests, need>>20, at, free>>20)
	}
	return nil
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// create makes a point's capture file.
func (d *runDir) create(p *capture.Point) (io.WriteCloser, error) {
	name := strings.ReplaceAll(p.Name(), "/", "-") + ".pcapng"
	d.files[p.Name()] = "captures/" + name
	if d.path != "" {
		f, err := os.OpenFile(filepath.Join(d.path, "captures", name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%w; another run writes to the same directory: give each its own --out", err)
		}
		if err != nil {
			return nil, err // and no nil *os.File, which would not be nil
		}
		d.wrote = append(d.wrote, f.Name())
		return f, nil
	}
	f, err := unnamedFile(os.TempDir())
	if err != nil {
		return nil, err
	}
	d.unnamed[p.Name()] = f
	return keepOpen{f}, nil
}

// keyLog is where a run directory has its key log: beside the captures, for who has the
// one needs the other.
const keyLog = "captures/keys.log"

// createKeyLog makes the key log.
func (d *runDir) createKeyLog() (w io.Writer, err error) {
	if d.path == "" {
		d.keys, err = unnamedFile(os.TempDir())
		return d.keys, err
	}
	d.keys, err = os.OpenFile(filepath.Join(d.path, filepath.FromSlash(keyLog)), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err == nil {
		d.wrote = append(d.wrote, d.keys.Name())
	}
	return d.keys, err
}

// readKeyLog returns what the key log holds; nil if there is none.
func (d *runDir) readKeyLog() io.Reader {
	if d.keys == nil {
		return nil
	}
	return io.NewSectionReader(d.keys, 0, 1<<62)
}

// unnamedFile creates a file that ends with the process however it ends.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|os.O_RDWR, 0o600)
	if err == nil || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return f, err
	}
	// Some file systems know no files without a name: the name is taken away
	// at once.
	if f, err = os.CreateTemp(dir, "hopblame-*.pcapng"); err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}

// abandon takes back what a run without a result has written: captures without
// truth and verdicts are of no use, and would be in the next run's way.
func (d *runDir) abandon() error {
	if d.path == "" {
		return nil
	}
	var errs []error
	for _, file := range d.wrote {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, folder := range d.made {
		_ = os.Remove(folder) // not if somebody else put something into it
	}
	return errors.Join(errs...)
}

// keepOpen leaves closing to the run directory: a file without a name is gone
// once it is closed.
type keepOpen struct{ *os.File }

func (keepOpen) Close() error { return nil }

func (d *runDir) close() {
	if d.keys != nil {
		d.keys.Close()
	}
	for _, f := range d.unnamed {
		f.Close()
	}
}

// point is a point with its file as it is now.
func (d *runDir) point(at *capture.Point) analyzer.Point {
	p := analyzer.Point{Name: at.Name(), Hop: at.Hop, Face: at.Face, Side: string(at.Side), File: d.files[at.Name()]}
	p.Path = filepath.Join(d.path, filepath.FromSlash(p.File))
	if f := d.unnamed[p.Name]; f != nil {
		p.Path = fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	}
	return p
}

// writePoints writes points.json — all that an analyzer is told — and returns
// the same for the one in this process.
func (d *runDir) writePoints(facts *sim.Facts) ([]analyzer.Point, error) {
	var points []analyzer.Point
	for _, c := range facts.Captures {
		if !d.missed[c.Point.Name()] {
			points = append(points, d.point(&c.Point))
		}
	}
	if d.path == "" {
		return points, nil
	}
	// Beside the captures: a folder that can be handed on as it is.
	named := make([]analyzer.Point, len(points))
	copy(named, points)
	for i := range named {
		named[i].File = filepath.Base(named[i].File)
	}
	return points, d.writeJSON("captures/points.json", analyzer.PointsFile{SchemaVersion: analyzer.SchemaVersion, Points: named})
}

// ltmLog is the f5's /var/log/ltm, where its configuration has RSTs logged.
const ltmLog = "f5-ltm.log"

// writeLog writes the f5's log.
func (d *runDir) writeLog(facts *sim.Facts) error {
	if d.path == "" || !facts.Config.F5.RSTCause.Log {
		return nil
	}
	return d.writeWhole(ltmLog, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(append(bigip.Log(facts.Resets), ""), "\n"))
		return err
	})
}

// writeTruth writes the truth, apart from the captures.
func (d *runDir) writeTruth(facts *sim.Facts, truths []Truth) error {
	if d.path == "" {
		return nil
	}
	return errors.Join(
		d.writeLog(facts),
		writeLines(d, "truth/requests.ndjson", len(truths), func(i int) any { return &truths[i] }),
		writeLines(d, "truth/flows.ndjson", len(facts.Flows), func(i int) any {
			f := facts.Flows[i]
			t := flowTruth{Ordinal: f.Ordinal, Attempt: f.Attempt, Client: f.Client, SNAT: f.SNAT, Member: f.Member,
				Opened: f.Opened, Closed: f.Closed, Tries: f.Tries, Reset: f.Reset, Peer: f.Peer}
			if !f.Connected.IsZero() {
				t.Connected = &f.Connected
			}
			return t
		}),
		writeLines(d, "truth/ledger.ndjson", len(facts.Ledger), func(i int) any {
			h := facts.Ledger[i]
			return ledgerTruth{Time: h.Time, Fault: h.Fault, At: h.At, Source: h.Source, Destination: h.Destination,
				Seq: h.Seq, IPID: h.IPID, Ordinal: h.Ordinal, Attempt: h.Attempt}
		}))
}

func writeLines(d *runDir, name string, n int, line func(i int) any) (err error) {
	f, err := os.Create(filepath.Join(d.path, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	d.wrote = append(d.wrote, f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	e := json.NewEncoder(w)
	for i := range n {
		if err == nil {
			err = e.Encode(line(i))
		}
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("run directory: write %s: %w", name, err)
	}
	return nil
}

// scenarioFile is where a run directory has the scenario as it was played.
const scenarioFile = "scenario.yaml"

// writeScenario writes what was played, as a file that can be played again.
func (d *runDir) writeScenario(s *Scenario, config *sim.Config) error {
	if d.path == "" {
		return nil
	}
	played := s.With(Options{Requests: config.Requests, Concurrency: config.Concurrency})
	text, err := played.Encode()
	if err != nil {
		return err
	}
	return d.writeWhole(scenarioFile, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// writeResult writes verdicts.json, report.html and then, as the last file and all at once,
// result.json: a directory that has it is whole. points are those that were analyzed, lang the
// language of the page.
func (d *runDir) writeResult(ctx context.Context, points []analyzer.Point, r *Result, lang string) error {
	if d.path == "" {
		return nil
	}
	if err := d.writeWhole("verdicts.json", r.Report.WriteJSON); err != nil {
		return err
	}
	if err := d.writeWhole("report.html", func(w io.Writer) error { return page.Write(ctx, w, points, r.Report, page.Options{Language: lang}) }); err != nil {
		return err
	}
	return d.writeJSON("result.json", r)
}

func (d *runDir) writeJSON(name string, v any) error {
	return d.writeWhole(name, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	})
}

// writeWhole writes a file under another name and moves it into place.
func (d *runDir) writeWhole(name string, write func(io.Writer) error) error {
	path := filepath.Join(d.path, filepath.FromSlash(name))
	if err := wholefile.Write(path, write); err != nil {
		return fmt.Errorf("run directory: write %s: %w", name, err)
	}
	d.wrote = append(d.wrote, path)
	return nil
}
