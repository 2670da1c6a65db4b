package scenarios

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite what broken files say of themselves")

// Each file in testdata/broken is broken in the way that its name says. Its first line is
// the message it must give, behind the file's name.
func TestEachKindOfBrokenFileGivesItsOneLine(t *testing.T) {
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Find(file)
			var fe *FileError
			if !errors.As(err, &fe) || s != nil {
				t.Fatalf("got %v, %v, want a FileError", s, err)
			}
			says := strings.TrimPrefix(err.Error(), file+":")
			first, rest, _ := strings.Cut(string(text), "\n")
			if *update {
				if err := os.WriteFile(file, []byte("# "+says+"\n"+rest), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if want := strings.TrimPrefix(first, "# "); says != want {
				t.Errorf("run with -update if this is right\ngot  %s\nwant %s", says, want)
			}
			if fe.Line == 0 || strings.Contains(says, "\n") {
				t.Errorf("not one line with its place: %q", err)
			}
		})
	}
}
