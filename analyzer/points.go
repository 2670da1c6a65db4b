package analyzer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Sides of a point, seen from the proxy.
const (
	Clientside = "clientside"
	Serverside = "serverside"
	Both       = "both"
)

// Point is a place where a capture was taken: an entry of points.json.
type Point struct {
	Name      string `json:"name"` // hop/face; "" with an empty hop
	Hop       string `json:"hop"`  // "": nobody knows, and Analyze finds out where in the path it is
	Face      string `json:"face"`
	Side      string `json:"side"`      // [Clientside], [Serverside] or [Both] for a full proxy; "" is unknown
	File      string `json:"file"`      // as shown to people
	Interface string `json:"interface"` // interface inside the file, by name, else by number from 0; "" takes all
	// Path is what is opened; "" means File.
	Path string `json:"-"`
	// Files are the captures of the point, in any order, where there are several
	// (rotation) or one that [Spool] keeps; nil means the one of the fields above.
	Files []Capture `json:"-"`
}

// Capture is one file of a point.
type Capture struct {
	File      string // as shown to people
	Path      string // what is opened; "" means File
	Interface string // as in [Point]
	spooled   *spooled
}

func (c *Capture) path() string {
	if c.Path != "" {
		return c.Path
	}
	return c.File
}

// captures returns the files of a point.
func (p *Point) captures() []Capture {
	if p.Files != nil {
		return p.Files
	}
	return []Capture{{File: p.File, Path: p.Path, Interface: p.Interface}}
}

// mergePoints makes one point of those with the same name, which are files of
// one capture that was rotated.
func mergePoints(points []Point) []Point {
	var out []Point
	at := map[string]int{}
	for _, p := range points {
		i, again := at[p.Name]
		if !again || p.Name == "" {
			at[p.Name] = len(out)
			out = append(out, p)
			continue
		}
		out[i].Files = append(slices.Clone(out[i].captures()), p.captures()...)
	}
	return out
}

// PointsFile is the shape of points.json. Points are in path order, client
// end first. Several entries of one name are files of one point.
type PointsFile struct {
	SchemaVersion int     `json:"schema_version"`
	Points        []Point `json:"points"`
}

// ErrMalformed marks input that is not what it should be; ErrIO marks input
// that could not be read. Every *[InputError] is one of the two.
var (
	ErrMalformed = errors.New("malformed input")
	ErrIO        = errors.New("i/o error")
)

// InputError is a problem with the input that ends the analysis, in one line:
// where, what, why, fix.
type InputError struct {
	Kind error  // ErrMalformed or ErrIO
	File string // where
	What string // what and why; "" if Err says it all
	Fix  string
	Err  error // underlying error, or nil
}

// Error implements error.
func (e *InputError) Error() string {
	s := e.File
	if e.What != "" {
		s += ": " + e.What
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Fix != "" {
		s += "; " + e.Fix
	}
	return s
}

// Unwrap makes errors.Is find both the kind and the underlying error.
func (e *InputError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// LoadPoints reads dir/points.json, in a run directory or its captures
// folder, and checks that the files it names exist.
func LoadPoints(dir string) ([]Point, error) {
	name := filepath.Join(dir, "points.json")
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if nested := filepath.Join(dir, "captures", "points.json"); exists(nested) {
			return LoadPoints(filepath.Dir(nested))
		}
		if !exists(dir) {
			return nil, &InputError{Kind: ErrIO, File: dir, What: "no such folder", Fix: "give the folder that holds the captures"}
		}
		return nil, &InputError{Kind: ErrMalformed, File: name, What: "does not exist, so nothing says which capture was taken where",
			Fix: "give the captures folder of a run, or name each file with --point HOP/FACE=FILE"}
	}
	if err != nil {
		return nil, &InputError{Kind: ErrIO, File: name, What: "cannot be read", Err: plain(err)}
	}
	points, err := parsePoints(name, raw)
	if err != nil {
		return nil, err
	}
	for i := range points {
		p := &points[i]
		p.Path = p.File
		if !filepath.IsAbs(p.Path) {
			p.Path = filepath.Join(dir, filepath.FromSlash(p.File))
			// Names may be relative to the run directory, as they are shown,
			// and the folder may since have been moved.
			for _, other := range []string{filepath.Join(dir, "..", filepath.FromSlash(p.File)), filepath.Join(dir, filepath.Base(filepath.FromSlash(p.File)))} {
				if !exists(p.Path) && exists(other) {
					p.Path = other
				}
			}
		}
		if !exists(p.Path) {
			return nil, &InputError{Kind: ErrIO, File: name, What: fmt.Sprintf("names %s for point %s, but there is no such file", p.File, p.Name),
				Fix: "bring the file back, or remove the point from points.json"}
		}
	}
	return points, nil
}

func parsePoints(name string, raw []byte) ([]Point, error) {
	bad := func(what string, err error) error {
		return &InputError{Kind: ErrMalformed, File: name, What: what, Err: err, Fix: "see the schema of points.json"}
	}
	var f PointsFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, bad("is not valid", err)
	}
	if f.SchemaVersion != SchemaVersion {
		return nil, bad(fmt.Sprintf("has schema_version %d, this program reads %d", f.SchemaVersion, SchemaVersion), nil)
	}
	for i, p := range f.Points {
		if p.Name == "" || p.Hop == "" {
			return nil, bad(fmt.Sprintf("entry %d has no name or no hop", i+1), nil)
		}
	}
	if err := checkPoints(f.Points); err != nil {
		return nil, bad(err.Error(), nil)
	}
	return f.Points, nil
}

// forPoint names the point in a message about its file, if it has a name.
func (p *Point) forPoint() string {
	if p.Name == "" {
		return ""
	}
	return " for point " + p.Name
}

// or names the point, or says what else there is to say without its name.
func (p *Point) or(what string) string {
	if p.Name == "" {
		return what
	}
	return "point " + p.Name
}

// checkPoints finds what would make an analysis meaningless.
func checkPoints(points []Point) error {
	if len(points) == 0 {
		return errors.New("lists no points")
	}
	names, n := map[string]*Point{}, 0
	for i := range points {
		p := &points[i]
		first := names[p.Name]
		switch {
		case p.Name == "" && p.Hop != "":
			return fmt.Errorf("entry %d has no name", i+1)
		case p.File == "" && p.Path == "" && len(p.Files) == 0:
			return fmt.Errorf("entry %d%s has no file", i+1, p.forPoint())
		case p.Name == "": // its place is found out
		case first != nil && (first.Hop != p.Hop || first.Face != p.Face || first.Side != p.Side):
			return fmt.Errorf("point %s appears twice, and not with the same hop, face and side", p.Name)
		case first != nil && first.File == p.File && first.path() == p.path() && first.Interface == p.Interface:
			return fmt.Errorf("point %s appears twice with the same file, %s", p.Name, p.File)
		}
		switch p.Side {
		case "", Clientside, Serverside, Both:
		default:
			return fmt.Errorf("entry %d%s has side %q, want clientside, serverside or both", i+1, p.forPoint(), p.Side)
		}
		if first == nil || p.Name == "" {
			n++
		}
		if first == nil {
			names[p.Name] = p
		}
	}
	if n > maxPoints {
		return fmt.Errorf("lists %d points, at most %d are possible", n, maxPoints)
	}
	return nil
}

func (p *Point) path() string { return (&Capture{File: p.File, Path: p.Path}).path() }

func exists(name string) bool { _, err := os.Stat(name); return err == nil }

// plain strips the path a *fs.PathError repeats.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
