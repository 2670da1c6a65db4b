package browser

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	cdp "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// cannot is hopblame's exit code where a machine cannot build labs.
const cannot = 3

// served starts hopblame serve, and sees that Ctrl-C ends it and nothing is left.
func served(t *testing.T) (base string) {
	t.Helper()
	chromium(t)
	dir := t.TempDir()
	command := filepath.Join(dir, "hopblame")
	build := exec.Command("go", "build", "-C", "../..", "-o", command, "./cmd/hopblame")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	kept := filepath.Join(dir, "kept")
	c := exec.Command(command, "serve", "--listen", "127.0.0.1:0", "--dir", kept)
	c.Env = append(os.Environ(), "LC_ALL=C") // in English, wherever the tests run
	var says bytes.Buffer
	c.Stderr = &says
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		if code(c.Wait()) == cannot && os.Getenv("HOPBLAME_MUST_RUN") == "" {
			t.Skip(says.String())
		}
		t.Fatal(says.String())
	}
	t.Cleanup(func() {
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if got := code(c.Wait()); got != 130 {
			t.Errorf("it ends with %d, want 130: %s", got, says.String())
		}
		if left, err := os.ReadDir(kept); err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	})
	return strings.Fields(line)[3]
}

func code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Sys().(syscall.WaitStatus).ExitStatus()
	}
	return 0
}

// walk opens a page of a server, in which nothing may be asked of any other.
func walk(t *testing.T, base, path string, before ...chromedp.Action) *tab {
	t.Helper()
	return visit(t, base+path, func(url string) bool { return strings.HasPrefix(url, base) }, before...)
}

// looks are how readers like their pages.
var looks = []struct {
	name, scheme string
	wide         int64
}{{"light", "light", 1100}, {"dark", "dark", 1100}, {"narrow", "light", 320}, {"narrow-dark", "dark", 320}}

// look keeps pictures of the page as it is, in light, dark and narrow, and has axe-core look
// at it.
func look(t *testing.T, b *tab, name string) {
	t.Helper()
	for _, l := range looks {
		run(t, b, media(l.scheme, l.wide, 900)...)
		if got := told[int64](t, b, `document.documentElement.scrollWidth`); got > l.wide {
			t.Errorf("%s: the page is %d pixels wide in a window of %d", name, got, l.wide)
		}
		screenshot(t, b, "serve-"+name+"-"+l.name)
		accessible(t, b)
	}
	run(t, b, media("light", 1100, 900)...)
}

// click clicks a button or link and waits for the page that it leads to, and for what that
// has.
func click(t *testing.T, b *tab, what, then string) {
	t.Helper()
	if _, err := chromedp.RunResponse(b, chromedp.Click(what, chromedp.ByQuery)); err != nil {
		t.Fatal(err)
	}
	run(t, b, chromedp.WaitVisible(then, chromedp.ByQuery))
}

func content(t *testing.T, b *tab) string {
	t.Helper()
	return told[string](t, b, `document.querySelector("main").innerText`)
}

func unspoilt(t *testing.T, b *tab) {
	t.Helper()
	if c := b.complaints(); len(c) > 0 {
		t.Errorf("complaints: %q", c)
	}
}

func TestARunIsChosenWatchedReadAndDownloaded(t *testing.T) {
	base := served(t)
	b := walk(t, base, "", media("light", 1100, 900)...)
	look(t, b, "home")
	run(t, b, chromedp.SendKeys("#search", "swallows one connection in 150", chromedp.ByQuery))
	if got := told[string](t, b, `document.getElementById("shown").value`); !strings.Contains(got, "of 1") || strings.HasPrefix(got, "0 ") {
		t.Errorf("the search says %q", got)
	}
	click(t, b, `a[href="/scenarios/firewall-drops-syn"]`, `form[action="/runs"]`)
	look(t, b, "scenario")
	run(t, b, chromedp.SetValue(`input[name=requests]`, "1000", chromedp.ByQuery), chromedp.SetValue(`input[name=seed]`, "7", chromedp.ByQuery))
	// The page that is open now sees the run from its first step to its last.
	click(t, b, `form[action="/runs"] button`, "#steps")
	if n := told[int](t, b, `document.querySelectorAll("#steps li").length`); n != 5 {
		t.Errorf("%d steps are listed at the start, want 5", n)
	}
	run(t, b, chromedp.Poll(`document.getElementById("picture")?.textContent.includes("dropped")`, nil))
	if got := content(t, b); !strings.Contains(got, "Step 3 of 5: Send the requests.") || !strings.Contains(got, "client/eth0") {
		t.Errorf("while requests are sent the page says\n%s", got)
	}
	screenshot(t, b, "serve-watch-light")
	run(t, b, media("dark", 1100, 900)...)
	screenshot(t, b, "serve-watch-dark")
	accessible(t, b)
	run(t, b, media("light", 320, 900)...)
	screenshot(t, b, "serve-watch-narrow")
	run(t, b, chromedp.WaitVisible("#outcome", chromedp.ByQuery)) // the script loads the page again
	look(t, b, "run")
	if got := content(t, b); !strings.Contains(got, "of 1,000 requests failed.") || !strings.Contains(got, "firewall — syn-dropped") {
		t.Errorf("the result is\n%s", got)
	}

	files := t.TempDir()
	saved := make(chan struct{}, 1)
	chromedp.ListenTarget(b, func(event any) {
		if e, ok := event.(*cdp.EventDownloadProgress); ok && e.State == cdp.DownloadProgressStateCompleted {
			saved <- struct{}{}
		}
	})
	run(t, b, cdp.SetDownloadBehavior(cdp.SetDownloadBehaviorBehaviorAllow).WithDownloadPath(files).WithEventsEnabled(true),
		chromedp.Click(`a[href$="captures.zip"]`, chromedp.ByQuery))
	select {
	case <-saved:
	case <-b.Done():
		t.Fatal("the captures are not downloaded")
	}
	z, err := zip.OpenReader(filepath.Join(files, "firewall-drops-syn-1.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if len(z.File) != 7 {
		t.Errorf("%d files are downloaded, want 6 captures and points.json", len(z.File))
	}

	click(t, b, `a[href$="report.html"]`, "#all")
	if got := content(t, b); !strings.Contains(got, "firewall is at fault in all") {
		t.Errorf("the report says\n%.500s", got)
	}
	accessible(t, b)
	unspoilt(t, b)
}

var proof = regexp.MustCompile(`Which packet\? ([a-z0-9.-]+\.pcapng):([0-9]+)`)

func TestAnExerciseIsAnsweredWrongThenRight(t *testing.T) {
	base := served(t)
	b := walk(t, base, "", media("light", 1100, 900)...)
	run(t, b, chromedp.Click("#exercises ~ details summary", chromedp.ByQuery), chromedp.SendKeys(`input[name=name]`, "firewall-drops-syn"+kb.Enter, chromedp.ByQuery),
		chromedp.WaitVisible("#ticket", chromedp.ByQuery))
	look(t, b, "exercise")
	if got := content(t, b); strings.Contains(got, "swallows") || strings.Contains(got, "firewall-drops-syn") {
		t.Errorf("the exercise tells its answer:\n%s", got)
	}
	choose := func(field, value string) {
		t.Helper()
		run(t, b, chromedp.SetValue(fmt.Sprintf(`[name=%s]`, field), value, chromedp.ByQuery))
	}
	give := func(says string) {
		t.Helper()
		click(t, b, `form[action$="/answer"] button`, "#answered")
		if got := content(t, b); !strings.Contains(got, says) {
			t.Errorf("no %q in\n%s", says, got)
		}
	}
	choose("hop", "f5")
	give("Hop f5: wrong")
	choose("hop", "firewall")
	choose("cause", "syn-dropped")
	give("Hop firewall: right")
	var frame []string
	for range 9 {
		if frame = proof.FindStringSubmatch(content(t, b)); frame != nil {
			break
		}
		click(t, b, `form[action$="/hint"] button`, "#hints ~ .wide pre")
	}
	if frame == nil {
		t.Fatalf("no hint says which packet:\n%s", content(t, b))
	}
	look(t, b, "hints")
	choose("file", frame[1])
	run(t, b, chromedp.SendKeys(`[name=frame]`, frame[2], chromedp.ByQuery))
	click(t, b, `form[action$="/answer"] button`, "#story")
	if got := content(t, b); !strings.Contains(got, "Solved, with ") || !strings.Contains(got, "WHY NOBODY ELSE") {
		t.Errorf("solved, it says\n%s", got)
	}
	look(t, b, "solved")

	// Another one, at random, is given up.
	run(t, b, chromedp.Navigate(base))
	click(t, b, `form[action="/exercises"] button`, "#steps")
	run(t, b, chromedp.WaitVisible("#ticket", chromedp.ByQuery), chromedp.Click("main details summary", chromedp.ByQuery))
	click(t, b, `form[action$="/reveal"] button`, "#story")
	if got := content(t, b); !strings.Contains(got, "Revealed before it was solved: no points.") {
		t.Errorf("given up, it says\n%s", got)
	}
	unspoilt(t, b)
}

func TestTheServerIsUsedByKeyboardAlone(t *testing.T) {
	base := served(t)
	b := walk(t, base, "scenarios/f5-no-pool")
	var reached []string
	for range 12 {
		run(t, b, chromedp.KeyEvent(kb.Tab))
		at := told[string](t, b, `(e => e === document.body ? "" : e.name || e.className || e.tagName)(document.activeElement)`)
		if at == "" {
			break
		}
		if !told[bool](t, b, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("at %s nothing shows that it has the focus", at)
		}
		if at == "requests" {
			run(t, b, chromedp.KeyEvent("a", chromedp.KeyModifiers(2)), chromedp.KeyEvent("40")) // Ctrl-A
		}
		reached = append(reached, at)
	}
	for _, want := range []string{"skip", "requests", "concurrency", "seed", "first", "SUMMARY"} {
		if !slices.Contains(reached, want) {
			t.Errorf("%s is not reached: %q", want, reached)
		}
	}
	run(t, b, chromedp.Focus("[name=seed]", chromedp.ByQuery), chromedp.KeyEvent(kb.Enter), chromedp.WaitVisible("#outcome", chromedp.ByQuery))
	if got := content(t, b); !strings.Contains(got, "40 of 40 requests failed.") {
		t.Errorf("the result is\n%s", got)
	}
	unspoilt(t, b)
}

func TestTheServerIsUsedWithoutScript(t *testing.T) {
	base := served(t)
	b := walk(t, base, "scenarios/f5-no-pool")
	run(t, b, chromedp.SetValue(`input[name=requests]`, "40", chromedp.ByQuery))
	c := walkWithoutScript(t, base)
	click(t, b, `form[action="/runs"] button`, "#watch, #outcome")
	// The other page, which has no script, is loaded anew until the run is over.
	var text string
	run(t, c, chromedp.Navigate(base+"runs/1"), chromedp.WaitVisible("#outcome", chromedp.ByQuery), chromedp.Text("main", &text, chromedp.ByQuery))
	if !strings.Contains(text, "40 of 40 requests failed.") || !strings.Contains(text, "Read the report") {
		t.Errorf("without a script it says\n%s", text)
	}
	unspoilt(t, b)
	unspoilt(t, c)
}

func walkWithoutScript(t *testing.T, base string) *tab {
	t.Helper()
	return walk(t, base, "", emulation.SetScriptExecutionDisabled(true))
}
