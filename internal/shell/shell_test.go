package shell

import (
	"os/exec"
	"testing"
)

func TestAShellReadsTheTextAsOneWord(t *testing.T) {
	for text, quoted := range map[string]string{
		"":                  "''",
		"/tmp/run-1/a.yaml": "/tmp/run-1/a.yaml",
		"it's":              `'it'\''s'`,
		"a b":               "'a b'",
		"bigip=f5":          "'bigip=f5'",
		"a$(b)*~\n\"c\\":    "'a$(b)*~\n\"c\\'",
	} {
		if got := Quote(text); got != quoted {
			t.Errorf("%q: got %s, want %s", text, got, quoted)
		}
		out, err := exec.Command("sh", "-c", `printf '%s|' `+Quote(text)).Output()
		if err != nil || string(out) != text+"|" {
			t.Errorf("%q: a shell reads %q, %v", text, out, err)
		}
	}
}
