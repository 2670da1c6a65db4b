package scenarios

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/hopblame/hopblame/scenarios/observe"
	"github.com/hopblame/hopblame/sim"
)

// wholeCaptures is where the captures lie that an observer's fault changed, as they were:
// with the truth, which no analyzer opens.
const wholeCaptures = "truth/captures"

// observe does to the captures of a run what an observer's faults do, one point after the
// other: a capture is in memory meanwhile. Everything the run is checked by was counted
// before.
func (d *runDir) observe(o *Observe, facts *sim.Facts) (done []ObserverResult, err error) {
	if len(o.Faults) == 0 {
		return nil, nil
	}
	for i := range facts.Captures {
		at := &facts.Captures[i].Point
		c, err := observe.Open(d.point(at))
		if err != nil {
			return nil, fmt.Errorf("observe: %w", err)
		}
		did, there := o.observe(c, facts.Config.Seed)
		if done = append(done, did...); len(did) == 0 {
			continue
		}
		if !there {
			d.missed[at.Name()] = true
		}
		if err := d.replace(at.Name(), c, there); err != nil {
			return nil, fmt.Errorf("observe: %w", err)
		}
	}
	return done, nil
}

// replace puts a point's capture in the place of the one it was made of, which is kept;
// or nothing, where there is nobody to have it from.
func (d *runDir) replace(point string, c *observe.Capture, there bool) (err error) {
	to := io.WriteCloser(nil)
	if d.path == "" {
		if to, err = d.fresh(point, there); err != nil || !there {
			return err
		}
	} else {
		path := filepath.Join(d.path, filepath.FromSlash(d.files[point]))
		if err := d.keep(point, path); err != nil || !there {
			return err
		}
		if to, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
			return err
		}
	}
	w := bufio.NewWriterSize(to, 1<<20)
	return errors.Join(c.Encode(w), w.Flush(), to.Close())
}

// rewrite puts a point's capture in the place of the one it was made of, which is gone.
func (d *runDir) rewrite(point string, c *observe.Capture) error {
	if d.path != "" {
		return d.writeWhole(d.files[point], c.Encode)
	}
	to, err := d.fresh(point, true)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(to, 1<<20)
	return errors.Join(c.Encode(w), w.Flush(), to.Close())
}

// fresh gives a point another file without a name, or none.
func (d *runDir) fresh(point string, there bool) (io.WriteCloser, error) {
	d.unnamed[point].Close()
	delete(d.unnamed, point)
	if !there {
		return nil, nil
	}
	f, err := unnamedFile(os.TempDir())
	if err != nil {
		return nil, err
	}
	d.unnamed[point] = f
	return keepOpen{f}, nil
}

// keep moves a point's capture to the truth.
func (d *runDir) keep(point, path string) error {
	folder := filepath.Join(d.path, filepath.FromSlash(wholeCaptures))
	if !exists(folder) {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		d.made = append([]string{folder}, d.made...)
	}
	d.kept[point] = wholeCaptures + "/" + filepath.Base(path)
	whole := filepath.Join(folder, filepath.Base(path))
	if err := os.Rename(path, whole); err != nil {
		return err
	}
	d.wrote = append(d.wrote, whole)
	return nil
}

// trueFiles are the captures as they were taken, by point.
func (d *runDir) trueFiles() map[string]string {
	files := maps.Clone(d.files)
	maps.Copy(files, d.kept)
	return files
}
