package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/hopblame/hopblame/topology"
)

func TestMain(m *testing.M) {
	if profile := os.Getenv(oursEnv); profile != "" {
		exit(serveAsF5(profile))
	}
	topology.Main(m)
}

func TestEachConcurrencyHasALineWithTheRatioAndOneWithTheControls(t *testing.T) {
	var out bytes.Buffer
	profile := t.TempDir() + "/cpu"
	err := plan{time: time.Nanosecond, requests: 600, profile: profile}.run(t.Context(), &out)
	var unsupported *topology.UnsupportedError
	if errors.As(err, &unsupported) {
		t.Skip(unsupported)
	}
	if err != nil {
		t.Fatal(err)
	}
	const speed, ratio = `[1-9]\d*/s \(\d+ µs of CPU a request\)`, `ratio \d+\.\d\d \[\d+\.\d\d–\d+\.\d\d\]`
	var want string
	for _, c := range concurrencies {
		want += fmt.Sprintf(`%d in flight, 1 rounds: hopblame %s, haproxy %s, second haproxy %s\n`, c, speed, speed, speed)
		want += fmt.Sprintf(`%s hopblame/haproxy, %d in flight\n%s haproxy/haproxy, %d in flight: the control\n`, ratio, c, ratio, c)
	}
	if !regexp.MustCompile("^" + want + "$").MatchString(out.String()) {
		t.Errorf("it printed\n%s", out.String())
	}
	if i, err := os.Stat(profile); err != nil || i.Size() == 0 {
		t.Errorf("no profile of the proxy's process: %v", err)
	}
}

func TestASpreadIsTheMedianAndTheExtremes(t *testing.T) {
	for _, row := range []struct {
		ratios []float64
		want   string
	}{
		{[]float64{1.5}, "1.50 [1.50–1.50]"},
		{[]float64{1.1, 0.9}, "1.00 [0.90–1.10]"},
		{[]float64{1.2, 0.8, 1.0}, "1.00 [0.80–1.20]"},
		{[]float64{3, 1, 0.9, 0.5}, "0.95 [0.50–3.00]"},
	} {
		if got := spread(row.ratios); got != row.want {
			t.Errorf("%v: got %s, want %s", row.ratios, got, row.want)
		}
	}
}
