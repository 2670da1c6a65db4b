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
