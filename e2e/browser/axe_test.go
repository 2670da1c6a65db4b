package browser

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeFile is where scripts/axe.sh puts axe-core.
const axeFile = "node_modules/axe-core/axe.min.js"

// axeSays are the violations that are serious or critical by axe-core's own measure, a line
// each: the rule, and the elements.
const axeSays = `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + ": " + v.help + ": " + v.nodes.map(n => n.html + " (" + n.failureSummary + ")").join(" | ")))`

// accessible has axe-core look at the page as it is.
func accessible(t *testing.T, b *tab) {
	t.Helper()
	if violations := violated(t, b); len(violations) > 0 {
		t.Errorf("axe-core:\n%s", strings.Join(violations, "\n"))
	}
}

// violated is what axe-core finds on a page; nothing where there is no axe-core.
func violated(t *testing.T, b *tab) (violations []string) {
	t.Helper()
	axe, err := os.ReadFile(axeFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("HOPBLAME_MUST_RUN") == "":
		t.Log("axe-core is not there (scripts/axe.sh gets it): whether everybody can read the page was not asked")
		return nil
	case err != nil:
		t.Fatal(err)
	}
	run(t, b, chromedp.Evaluate(string(axe)+";0", nil),
		chromedp.Evaluate(axeSays, &violations, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return violations
}

// TestAxeFindsWhatIsWrong sees that silence means something.
func TestAxeFindsWhatIsWrong(t *testing.T) {
	if _, err := os.Stat(axeFile); err != nil && os.Getenv("HOPBLAME_MUST_RUN") == "" {
		t.Skip("axe-core is not there (scripts/axe.sh gets it)")
	}
	b := open(t, story(t))
	run(t, b, chromedp.Evaluate(`{
		document.querySelector("h1").style.color = "#eee";
		document.querySelector("main").append(document.createElement("button"));
	}`, nil))
	found := strings.Join(violated(t, b), "\n")
	for _, rule := range []string{"color-contrast: ", "button-name: "} {
		if !strings.Contains(found, rule) {
			t.Errorf("%s is not found, but\n%s", rule, found)
		}
	}
}
