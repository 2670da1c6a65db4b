package serve

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// file is one that can be taken along.
type file struct {
	Name  string
	path  string // in the job's folder
	bytes int64
}

// Size is its size, for a person.
func (f file) Size() string {
	if f.bytes < 1<<20 {
		return fmt.Sprintf("%d kB", (f.bytes+1023)>>10)
	}
	return fmt.Sprintf("%.1f MB", float64(f.bytes)/(1<<20))
}

// besideCaptures are what of a job's folder can be taken along but for the captures: the
// f5's log, and the ticket of an exercise.
var besideCaptures = []string{"f5-ltm.log", "ticket.txt"}

// listFiles lists what of a job can be taken along. Whatever is asked for later is looked up
// here: no part of a path comes from a request.
func listFiles(j *job) ([]file, error) {
	entries, err := os.ReadDir(filepath.Join(j.dir, "captures"))
	if err != nil {
		return nil, err
	}
	var all []file
	add := func(name, at string) error {
		i, err := os.Lstat(filepath.Join(j.dir, at))
		if err == nil && i.Mode().IsRegular() {
			all = append(all, file{name, at, i.Size()})
		}
		return err
	}
	for _, e := range entries {
		if err := add(e.Name(), path.Join("captures", e.Name())); err != nil {
			return nil, err
		}
	}
	for _, name := range besideCaptures {
		if err := add(name, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return all, nil
}

// file serves one of them.
func (s *Server) file(w http.ResponseWriter, r *http.Request, j *job) {
	state, _ := s.stateOf(j)
	i := -1
	if state == done {
		i = slices.IndexFunc(j.files, func(f file) bool { return f.Name == r.PathValue("name") })
	}
	if i < 0 {
		s.pages.refuse(w, http.StatusNotFound, "no-file")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment; filename="+j.files[i].Name)
	s.send(w, r, j, j.files[i].path)
}

// archive serves all of them as one zip, which is made on the way. What is unpacked is a
// folder that hopblame analyze takes.
func (s *Server) archive(w http.ResponseWriter, r *http.Request, j *job) {
	if state, _ := s.stateOf(j); state != done {
		s.pages.refuse(w, http.StatusNotFound, "not-yet")
		return
	}
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		s.pages.broken(w, err)
		return
	}
	defer root.Close()
	folder := fmt.Sprintf("exercise-%d", j.number)
	if j.kind == aRun {
		folder = fmt.Sprintf("%s-%d", j.scenario.Name, j.number)
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", "attachment; filename="+folder+".zip")
	z := zip.NewWriter(w)
	for _, f := range j.files {
		if err := pack(z, root, folder, f); err != nil {
			// The answer has begun. One that is cut off is seen as such, where a short
			// archive might not be.
			panic(http.ErrAbortHandler)
		}
	}
	if z.Close() != nil {
		panic(http.ErrAbortHandler)
	}
}

// pack puts a file into an archive.
func pack(z *zip.Writer, root *os.Root, folder string, f file) error {
	in, err := root.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := z.CreateHeader(&zip.FileHeader{Name: folder + "/" + f.path, Method: zip.Deflate, Modified: info.ModTime()})
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return err
}
