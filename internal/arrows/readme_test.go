package arrows_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hopblame/hopblame/scenarios"
)

func TestTheReadmesScenarioIsOne(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README shows no scenario")
	}
	if _, err := scenarios.Load("README.md", block[1]); err != nil {
		t.Error(err)
	}
	f5 := regexp.MustCompile("(?s)<!-- f5 -->\n```yaml\n(.*?)```").FindSubmatch(text)
	if f5 == nil {
		t.Fatal("the README does not show the f5's configuration")
	}
	if _, err := scenarios.Load("README.md", append([]byte("name: f5\ntitle: t\ntraffic: {protocol: h2}\n"), f5[1]...)); err != nil {
		t.Errorf("the f5's configuration: %v", err)
	}
	wall := regexp.MustCompile("(?s)<!-- firewall -->\n```yaml\n(.*?)```").FindSubmatch(text)
	if wall == nil {
		t.Fatal("the README does not show the firewall's configuration")
	}
	if _, err := scenarios.Load("README.md", append([]byte("name: firewall\ntitle: t\n"), wall[1]...)); err != nil {
		t.Errorf("the firewall's configuration: %v", err)
	}
	all, err := scenarios.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if !strings.Contains(string(text), "| `"+s.Name+"` |") {
			t.Errorf("the README's table lacks %s", s.Name)
		}
	}
}

// What the README shows of a suite is in the example's module, which is built and run.
func TestTheReadmesSuiteIsTheExamples(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- sample: examples/haproxy-suite -->\n```go\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("the README shows no suite")
	}
	example, err := os.ReadFile("../../examples/haproxy-suite/suite_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for piece := range strings.SplitSeq(strings.TrimSpace(string(block[1])), "\n\n") {
		if !strings.Contains(string(example), piece) {
			t.Errorf("the example's suite lacks\n%s", piece)
		}
	}
}
