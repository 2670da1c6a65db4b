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
	axe, err := os.ReadFile(axeFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("HOPBLAME_MUST_RUN") == "":
		t.Log("axe-core is not there (scripts/axe.sh gets it): whether everybody can read the page was not asked")
		return
	case err != nil:
		t.Fatal(err)
	}
	var violations []string
	run(t, b, chromedp.Evaluate(string(axe)+";0", nil),
		chromedp.Evaluate(axeSays, &violations, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if len(violations) > 0 {
		t.Errorf("axe-core:\n%s", strings.Join(violations, "\n"))
	}
}
