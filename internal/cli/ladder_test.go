package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARequestIsDrawn(t *testing.T) {
	capture := refusals(t, "eth0", 0, 40)
	for _, row := range []struct {
		name string
		args []string
		want []string // lines, or parts of them
	}{
		{"the first that failed", []string{"a.pcapng"}, []string{"198.18.50.88:40000 → 198.18.50.67:8165, refused\n", "─▶ 1 ", "2 ◀─", "SYN\n", "RST-ACK\n"}},
		{"one by its client", []string{"a.pcapng", "--request", "198.18.50.88:40039"}, []string{"198.18.50.88:40039", "─▶ 79", "80 ◀─"}},
		{"from a labelled capture", []string{"--point", "client/eth0=a.pcapng"}, []string{"client\n", "eth0\n", "a.pcapng (client/eth0)"}},
		{"from standard input", []string{"-"}, []string{"stdin (p1)"}},
		{"in ASCII", []string{"a.pcapng", "--ascii"}, []string{"198.18.50.88:40000 -> 198.18.50.67:8165", "-> 1 ", "2 <-"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := command(t, append([]string{"ladder"}, row.args...)...)
			if err := os.WriteFile(filepath.Join(c.Dir, "a.pcapng"), capture, 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(capture), &stdout, &stderr
			if code := exitCodeOf(t, c.Run()); code != exitOK || stderr.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			for _, want := range row.want {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("%q is not in\n%s", want, stdout.String())
				}
			}
		})
	}
}

func TestAPictureIsWritten(t *testing.T) {
	c := command(t, "ladder", "-", "--svg", "x.svg")
	c.Stdin = bytes.NewReader(refusals(t, "eth0", 0, 40))
	if out, err := c.CombinedOutput(); exitCodeOf(t, err) != exitOK {
		t.Fatalf("%s", out)
	}
	picture, err := os.ReadFile(filepath.Join(c.Dir, "x.svg"))
	if err != nil || !bytes.HasPrefix(picture, []byte("<svg ")) || !bytes.HasSuffix(picture, []byte("</svg>\n")) {
		t.Errorf("%v: got %s", err, picture)
	}
}

func TestWhatCannotBeDrawnIsOneLine(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing is given", nil, exitUsage, "ladder needs a folder that holds captures, capture files, or --point HOP/FACE=FILE for each capture"},
		{"an id that no request has", []string{"-", "--request", "17"}, exitUsage,
			"--request 17: no failed request has this id or comes from this address and port; for one that did not fail give ADDRESS:PORT of its client"},
		{"a client that is not there", []string{"-", "--request", "198.18.50.88:1"}, exitUsage,
			"the captures: they hold no packet of 198.18.50.88:1; give the address and port of a client as the captures have it"},
		{"a folder that is not there", []string{"-", "--svg", "none/x.svg"}, exitInvalid, "--svg none/x.svg: cannot be written: no such file or directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := command(t, append([]string{"ladder"}, row.args...)...)
			var stdout, stderr bytes.Buffer
			c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(refusals(t, "eth0", 0, 40)), &stdout, &stderr
			if code := exitCodeOf(t, c.Run()); code != row.code || stderr.String() != "hopblame: "+row.want+"\n" || stdout.Len() > 0 {
				t.Errorf("got %d %s%s\nwant %d %s", code, stderr.String(), stdout.String(), row.code, row.want)
			}
		})
	}
}
