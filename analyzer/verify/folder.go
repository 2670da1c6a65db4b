package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// folder is the run directory or captures folder that is read, and nothing outside
// it: a verdicts.json may come from anybody.
type folder struct {
	name string
	root *os.Root
}

func openFolder(name string) (*folder, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be opened as a folder of captures", Err: plain(err),
			Fix: "give a run directory or its captures folder"}
	}
	return &folder{name, root}, nil
}

func (f *folder) close() { f.root.Close() }

// inside turns a file name of the verdicts into one relative to the folder.
func (f *folder) inside(file string) (string, error) {
	name := filepath.FromSlash(file)
	if filepath.IsAbs(name) {
		abs, err := filepath.Abs(f.name)
		if err == nil {
			name, err = filepath.Rel(abs, name)
		}
		if err != nil {
			name = ".."
		}
	}
	if !filepath.IsLocal(name) || strings.ContainsRune(name, 0) {
		return "", &analyzer.InputError{Kind: analyzer.ErrMalformed, File: "verdicts", What: fmt.Sprintf("file %s lies outside %s", clip(file), f.name),
			Fix: "captures must be in the folder that is given"}
	}
	return name, nil
}

// open finds a capture by its name, which may be relative to the run directory, to
// the captures folder, or have lost its folders.
func (f *folder) open(file string) (*os.File, error) {
	name, err := f.inside(file)
	if err != nil {
		return nil, err
	}
	base := filepath.Base(name)
	for _, candidate := range []string{name, base, filepath.Join("captures", base)} {
		info, err := f.root.Stat(candidate)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !info.Mode().IsRegular() {
			err = errors.New("is no regular file")
		}
		var in *os.File
		if err == nil {
			in, err = f.root.Open(candidate)
		}
		if err != nil {
			return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: candidate, What: "cannot be opened", Err: plain(err)}
		}
		return in, nil
	}
	return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: f.name, What: fmt.Sprintf("the verdicts cite %s, and there is no such file", clip(file)),
		Fix: "give the folder that holds the captures"}
}

// points reads points.json, by name of the point; nil if there is none.
func (f *folder) points() (map[string]analyzer.Point, error) {
	for _, name := range []string{"points.json", path.Join("captures", "points.json")} {
		raw, err := f.root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be read", Err: plain(err)}
		}
		var file analyzer.PointsFile
		if err := json.Unmarshal(raw, &file); err != nil {
			return nil, &analyzer.InputError{Kind: analyzer.ErrMalformed, File: name, What: "is not valid", Err: err, Fix: "see the schema of points.json"}
		}
		out := map[string]analyzer.Point{}
		for _, p := range file.Points {
			out[p.Name] = p
		}
		return out, nil
	}
	return nil, nil
}

// plain strips the path a *fs.PathError repeats.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
