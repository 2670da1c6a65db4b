package wholefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileIsThereWholeOrAsItWas(t *testing.T) {
	full := errors.New("disk full")
	for _, row := range []struct {
		name string
		err  error
		want string
	}{
		{"it was written", nil, "new"},
		{"it could not be written to its end", full, "old"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "result.json")
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Write(path, func(w io.Writer) error {
				_, failed := io.WriteString(w, "new")
				return errors.Join(failed, row.err)
			})
			if !errors.Is(err, row.err) {
				t.Errorf("got %v, want %v", err, row.err)
			}
			if got, err := os.ReadFile(path); string(got) != row.want || err != nil {
				t.Errorf("it holds %q, %v; want %q", got, err, row.want)
			}
			if left, err := os.ReadDir(dir); len(left) != 1 || err != nil {
				t.Errorf("there are %v, %v", left, err)
			}
		})
	}
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	err := Write(filepath.Join(t.TempDir(), "none", "x"), func(io.Writer) error { return nil })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
