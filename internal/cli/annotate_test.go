package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestOneCaptureAndOnePageAreWritten(t *testing.T) {
	for _, row := range []struct {
		name   string
		args   []string
		stdout string
		files  map[string]string // and how they begin
	}{
		{"a capture and a profile", []string{"annotate", "-", "-o", "x.pcapng", "--profile", "p"}, "x.pcapng: 80 frames of 1 point, 80 with a comment\n",
			map[string]string{"x.pcapng": "\x0a\x0d\x0d\x0a", "p/preferences": "# ", "p/colorfilters": "# ", "p/dfilter_buttons": "# "}},
		{"a page", []string{"analyze", "-", "--html", "x.html"}, "", map[string]string{"x.html": "<!DOCTYPE html>\n"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := command(t, row.args...)
			c.Stdin = bytes.NewReader(refusals(t, "eth0", 0, 40))
			out, err := c.Output()
			if code := exitCodeOf(t, err); code != exitOK || row.stdout != "" && string(out) != row.stdout {
				t.Fatalf("exit code %d, %q; want %q", code, out, row.stdout)
			}
			for name, want := range row.files {
				if got, err := os.ReadFile(filepath.Join(c.Dir, name)); err != nil || !bytes.HasPrefix(got, []byte(want)) {
					t.Errorf("%s: %v, it begins with %.20q", name, err, got)
				}
			}
		})
	}
}

func TestAnnotateNeedsSomewhereToWrite(t *testing.T) {
	c := command(t, "annotate", "-")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if code, want := exitCodeOf(t, c.Run()), "hopblame: annotate needs -o FILE.pcapng, --profile DIR or both\n"; code != exitUsage || stderr.String() != want {
		t.Errorf("got %d %q, want %q", code, stderr.String(), want)
	}
}
