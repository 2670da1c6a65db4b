package report

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/analyzer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func load(t *testing.T, name string) *analyzer.Report {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var r analyzer.Report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestTextIsGolden(t *testing.T) {
	for _, c := range []struct {
		golden string
		o      TextOptions
	}{
		{"mixed.txt", TextOptions{}},
		{"mixed-80.txt", TextOptions{Width: 80}},
		{"mixed-verbose.txt", TextOptions{Verbose: 2}},
		{"mixed-color.txt", TextOptions{Width: 100, Color: true}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			var got strings.Builder
			if err := WriteText(&got, load(t, "mixed.json"), c.o); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", c.golden)
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("run with -update if this is right; got\n%s", got.String())
			}
		})
	}
}

func TestNothingFailed(t *testing.T) {
	var got strings.Builder
	r := &analyzer.Report{Requests: analyzer.RequestCounts{Seen: 20000, OK: 20000}}
	if err := WriteText(&got, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := "None of 20,000 requests failed.\n"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}

func TestCapturesThatNobodyNamedAreTold(t *testing.T) {
	var got strings.Builder
	r := &analyzer.Report{Points: []analyzer.PointReport{{Name: "p1", File: "/tmp/a.pcap"}, {Name: "f5/0.0", File: "f5.pcap"}, {Name: "p3", File: "x/b.pcapng", Interface: "eth1"}}}
	if err := WriteText(&got, r, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	if want := "Captures that nobody named, from the client on: p1 a.pcap, p3 b.pcapng#eth1.\n"; !strings.HasPrefix(got.String(), want) {
		t.Errorf("got %q, want %q first", got.String(), want)
	}
}
