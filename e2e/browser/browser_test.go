// Package browser opens report.html and the pages of hopblame serve in headless Chromium, as
// a reader does, and asks axe-core whether everybody can read them. It is a module
// of its own, so that nobody who imports hopblame gets a browser's driver with it.
package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/hopblame/hopblame/analyzer"
	report "github.com/hopblame/hopblame/analyzer/page"
)

// chromium finds the browser; without one there is nothing to test, unless
// HOPBLAME_MUST_RUN says that there must be.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("HOPBLAME_MUST_RUN") != "" {
		t.Fatal("chromium is not installed (Debian: apt-get install chromium)")
	}
	t.Skip("chromium is not installed (Debian: apt-get install chromium)")
	return ""
}

// artefacts is where screenshots are kept.
func artefacts(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HOPBLAME_ARTIFACTS")
	if dir == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tab is a page of the browser, and what it complained of or asked for.
type tab struct {
	context.Context
	mu       sync.Mutex
	problems []string
}

// complaints are what was logged, thrown or requested from elsewhere.
func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.problems
}

func (b *tab) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// open starts a browser of its own and opens a file in it, which may ask for nothing else.
func open(t *testing.T, file string, before ...chromedp.Action) *tab {
	t.Helper()
	address := "file://" + file
	return visit(t, address, func(url string) bool { return url == address || strings.HasPrefix(url, address+"#") }, before...)
}

// visit starts a browser of its own and opens an address in it. Whatever it asks for
// besides what it may, it complains of.
func visit(t *testing.T, address string, may func(url string) bool, before ...chromedp.Action) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU)
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(stop)
	ctx, stopBrowser := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stopBrowser)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	b := &tab{Context: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			if !may(e.Request.URL) {
				b.complain("%s is requested", e.Request.URL)
			}
		case *runtime.EventConsoleAPICalled:
			b.complain("console: %s", e.Type)
		case *runtime.EventExceptionThrown:
			b.complain("exception: %s", e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			b.complain("log: %s", e.Entry.Text)
		}
	})
	run(t, b, append(append([]chromedp.Action{network.Enable(), log.Enable(), runtime.Enable()}, before...), chromedp.Navigate(address))...)
	return b
}

func run(t *testing.T, b *tab, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(b, actions...); err != nil {
		t.Fatal(errors.Join(err, fmt.Errorf("complaints: %q", b.complaints())))
	}
}

// screenshot keeps a picture of the page, as long as it is.
func screenshot(t *testing.T, b *tab, name string) {
	t.Helper()
	var shot []byte
	run(t, b, chromedp.FullScreenshot(&shot, 100))
	if err := os.WriteFile(filepath.Join(artefacts(t), name+".png"), shot, 0o644); err != nil {
		t.Fatal(err)
	}
}

// told is the value of an expression in the page.
func told[T any](t *testing.T, b *tab, expression string) (v T) {
	t.Helper()
	run(t, b, chromedp.Evaluate(expression, &v))
	return v
}

// write writes the page of a report; without points it has no ladders.
func write(t *testing.T, r *analyzer.Report, points []analyzer.Point) string {
	t.Helper()
	var out bytes.Buffer
	if err := report.Write(t.Context(), &out, points, r, report.Options{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// media tells the page how its reader likes it.
func media(scheme string, wide, tall int64) []chromedp.Action {
	return []chromedp.Action{
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		emulation.SetDeviceMetricsOverride(wide, tall, 1, false),
	}
}

func TestThePageIsReadInLightDarkNarrowAndOnPaper(t *testing.T) {
	file := story(t)
	for _, row := range []struct {
		name, scheme string
		wide         int64
	}{{"light", "light", 1100}, {"dark", "dark", 1100}, {"narrow", "light", 320}, {"narrow-dark", "dark", 320}} {
		t.Run(row.name, func(t *testing.T) {
			b := open(t, file, media(row.scheme, row.wide, 900)...)
			if got := told[int64](t, b, `document.documentElement.scrollWidth`); got > row.wide {
				t.Errorf("the page is %d pixels wide in a window of %d", got, row.wide)
			}
			if got := told[string](t, b, `document.querySelector("h1").textContent`); !strings.Contains(got, "40 of 40 requests failed") {
				t.Errorf("the answer is %q", got)
			}
			if n := told[int](t, b, `document.querySelectorAll("svg.hl path.hl-way").length`); n == 0 {
				t.Error("the ladder is empty")
			}
			dark := told[bool](t, b, `getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)" && getComputedStyle(document.querySelector(".hl-paper")).fill === "rgb(13, 17, 23)"`)
			if dark != (row.scheme == "dark") {
				t.Errorf("dark is %v", dark)
			}
			screenshot(t, b, "report-"+row.name)
			accessible(t, b)
			if c := b.complaints(); len(c) > 0 {
				t.Errorf("complaints: %q", c)
			}
		})
	}
	t.Run("paper", func(t *testing.T) {
		b := open(t, file)
		var pdf []byte
		run(t, b, emulation.SetEmulatedMedia().WithMedia("print"), chromedp.ActionFunc(func(ctx context.Context) (err error) {
			pdf, _, err = page.PrintToPDF().Do(ctx)
			return err
		}))
		if !bytes.HasPrefix(pdf, []byte("%PDF")) || told[bool](t, b, `document.querySelector("form").checkVisibility()`) {
			t.Error("the page cannot be printed, or the search is on paper")
		}
	})
}

func TestSearchAndFilter(t *testing.T) {
	b := open(t, write(t, many(3000), nil))
	shown := `[...document.querySelectorAll("#requests tbody tr")].filter(r => r.cells.length > 1 && r.checkVisibility()).length`
	set := func(id, value, event string) {
		t.Helper()
		run(t, b, chromedp.Evaluate(fmt.Sprintf(`{const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event(%q))}`, id, value, event), nil))
	}
	for _, row := range []struct {
		name, search, kind string
		want               int
		says               string
	}{
		{"nothing is asked", "", "", 3000, "3,000 of 3,000 shown"},
		{"a port", ":1041", "", 1, "1 of 3,000 shown"},
		{"words of the heading and of the row", "FIREWALL :1042", "", 1, "1 of 3,000 shown"},
		{"a cause", "syn-dropped", "", 2000, "2,000 of 3,000 shown"},
		{"a kind", "", "1", 1000, "1,000 of 3,000 shown"},
		{"a kind and a port of another", ":1025", "1", 0, "0 of 3,000 shown"},
		{"what is not there", "nonsense", "", 0, "0 of 3,000 shown"},
		{"all again", "", "", 3000, "3,000 of 3,000 shown"},
	} {
		set("search", row.search, "input")
		set("kinds", row.kind, "change")
		if n, says := told[int](t, b, shown), told[string](t, b, `document.getElementById("shown").value`); n != row.want || says != row.says {
			t.Errorf("%s: %d rows are there, %q; want %d, %q", row.name, n, says, row.want, row.says)
		}
	}
	if c := b.complaints(); len(c) > 0 {
		t.Errorf("complaints: %q", c)
	}
}

// TestKeyboard reaches everything by the tabulator key, sees where it is, and copies.
func TestKeyboard(t *testing.T) {
	b := open(t, story(t))
	reached := map[string]bool{}
	for range 60 {
		run(t, b, chromedp.KeyEvent(kb.Tab))
		at := told[string](t, b, `(e => e === document.body ? "" : e.id || e.className || e.tagName)(document.activeElement)`)
		if at == "" {
			break
		}
		reached[at] = true
		if !told[bool](t, b, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("at %s nothing shows that it has the focus", at)
		}
	}
	for _, want := range []string{"skip", "wide", "SUMMARY", "BUTTON", "search", "kinds"} {
		if !reached[want] {
			t.Errorf("%s is not reached: %v", want, reached)
		}
	}
	run(t, b, chromedp.Focus(".filters button"), chromedp.KeyEvent(kb.Enter))
	run(t, b, chromedp.Poll(`document.querySelector(".filters button").textContent === "Copied"`, nil))
	if c := b.complaints(); len(c) > 0 {
		t.Errorf("complaints: %q", c)
	}
}

func TestWithoutScriptAllIsThere(t *testing.T) {
	b := open(t, write(t, many(500), nil), emulation.SetScriptExecutionDisabled(true))
	var text string
	run(t, b, chromedp.Text("body", &text))
	for _, want := range []string{"500 of 500 requests failed", "198.18.50.88", "Files to open", ":1523"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q cannot be read", want)
		}
	}
	if strings.Contains(text, "Search") {
		t.Error("a search is offered that does nothing")
	}
}

// TestALargeReportOpens has as many failed requests as the largest run of the
// incident, and thirty times as many.
func TestALargeReportOpens(t *testing.T) {
	for _, n := range []int{650, 20_000} {
		file := write(t, many(n), nil)
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, file)
		took := told[float64](t, b, `performance.getEntriesByType("navigation")[0].loadEventStart`)
		t.Logf("%d failed requests: %d bytes, open after %.0f ms", n, st.Size(), took)
		if st.Size() > 5_000_000 {
			t.Errorf("%d failed requests: %d bytes", n, st.Size())
		}
	}
}
