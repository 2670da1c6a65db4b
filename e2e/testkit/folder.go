package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// ArtifactsEnv names the folder that what is worth keeping is put into, such as the run
// directory of a spec that fails. Without it that is the folder for temporary files.
const ArtifactsEnv = "HOPBLAME_ARTIFACTS"

// runFolder is the run directory within a run's folder; beside it are the folders of
// somebody else's programs.
const runFolder = "run"

// newFolder makes a folder for a run that no other process or spec has: its name begins
// with the spec's.
func newFolder(spec string, process int) (string, error) {
	parent := os.Getenv(ArtifactsEnv)
	if parent == "" {
		parent = os.TempDir()
	}
	parent, err := filepath.Abs(parent)
	if err != nil {
		return "", fmt.Errorf("%s: %w", ArtifactsEnv, err)
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", fmt.Errorf("%s: %w", ArtifactsEnv, err)
	}
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("hopblame-%s-p%d-*", slug(spec), process))
	if err != nil {
		return "", fmt.Errorf("folder of a run: %w", err)
	}
	return dir, os.Chmod(dir, 0o755) // programs may be somebody else's, and so may who reads it
}

// maxSlug is how much of a spec's text goes into a name: the end tells specs apart.
const maxSlug = 80

// slug makes a name of a spec's text, of whole words: lower-case letters and digits, and
// hyphens for all the rest.
func slug(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
	s := strings.Join(words, "-")
	if len(s) <= maxSlug {
		return s
	}
	s = s[len(s)-maxSlug:]
	if _, whole, found := strings.Cut(s, "-"); found {
		return whole
	}
	return s
}
