package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// program is the package that is built, with the analyzer in it.
const program = "./scenarios/mutation/verdicts"

// build compiles a package of the module with some mutants' defects in the analyzer, at
// most one a file; out is the program, or "" for none. Nothing in the tree changes: the
// go command is told to read other files in place of some (go help build, -overlay).
func build(ctx context.Context, module, pkg, out string, mutants ...Mutant) error {
	dir, err := os.MkdirTemp("", "hopblame-mutant-")
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	defer os.RemoveAll(dir)
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for i := range mutants {
		m := &mutants[i]
		path, text, err := m.read(module)
		if err == nil {
			text, err = m.apply(text)
		}
		if err != nil {
			return err
		}
		overlay.Replace[path] = filepath.Join(dir, m.File)
		if err := os.WriteFile(overlay.Replace[path], []byte(text), 0o600); err != nil {
			return fmt.Errorf("build: %w", err)
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("build: %w", err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	args := []string{"build", "-ldflags=-s -w", "-overlay", file} // nobody debugs it: half the time to link
	if out != "" {
		args = append(args, "-o", out)
	}
	c := exec.CommandContext(ctx, "go", append(args, pkg)...)
	c.Dir, c.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, bytes.TrimSpace(said))
	}
	return nil
}

// layers divides mutants so that no two of a layer are in one file: those may be built
// together, for none changes what other files see.
func layers(mutants []Mutant) (all [][]Mutant) {
	of := map[string]int{}
	for _, m := range mutants {
		n := of[m.File]
		of[m.File]++
		if n == len(all) {
			all = append(all, nil)
		}
		all[n] = append(all[n], m)
	}
	return all
}
