package serve

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

var (
	saidInPages = regexp.MustCompile(`say "([a-z-]+)"`)
	saidInCode  = regexp.MustCompile(`(?:say\(|refuse\([^")]*|refuse\(.*\), |sameSite.*|return refuse\(.*)"([a-z-]+)"`)
)

// TestEveryLanguageHasAllWordsAndNoMore finds what is said in pages and code.
func TestEveryLanguageHasAllWordsAndNoMore(t *testing.T) {
	said := map[string]bool{}
	pages, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range pages {
		text, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range saidInPages.FindAllStringSubmatch(string(text), -1) {
			said[m[1]] = true
		}
	}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if m := saidInCode.FindStringSubmatch(line); m != nil {
				said[m[1]] = true
			}
		}
	}
	for _, s := range steps {
		said["step-"+s] = true
	}
	for s := range marks {
		said["state-"+s] = true
	}
	for _, s := range []state{waiting, running, done, failed, cancelled} {
		said["status-"+string(s)] = true
	}
	for _, s := range []string{"hop", "cause", "frame", "symptom", "bystander", "unrelated"} { // of train's replies
		said[s] = true
	}
	delete(said, "step-")
	delete(said, "state-")
	delete(said, "status-")
	languages, err := fs.ReadDir(wordFiles, "words")
	if err != nil || len(languages) == 0 {
		t.Fatal(err)
	}
	for _, l := range languages {
		w, err := readWords(l.Name())
		if err != nil {
			t.Fatal(err)
		}
		for name := range said {
			if w[name] == "" {
				t.Errorf("%s: %s is not there", l.Name(), name)
			}
		}
		for name := range w {
			if !said[name] {
				t.Errorf("%s: nobody says %s", l.Name(), name)
			}
		}
	}
}

func TestPagesNeedNothingFromElsewhereAndNoScript(t *testing.T) {
	s := idle(t, pretend)
	at := submit(t, s, "/runs", aForm(20))
	_, waits := get(t, s, at)
	if !strings.Contains(waits, `<noscript><meta http-equiv="refresh" content="2"></noscript>`) {
		t.Error("without a script nothing brings what is new")
	}
	s.playNext(t.Context())
	for _, path := range []string{"/", "/scenarios/firewall-drops-syn", at, "/nothing"} {
		_, body := get(t, s, path)
		if strings.Contains(body, "http-equiv") {
			t.Errorf("%s is loaded again and again", path)
		}
		for _, bad := range []string{"http://", "https://", " style=", " onclick=", "<style", "<script>", "!"} {
			if strings.Contains(strings.ReplaceAll(body, "<!DOCTYPE", ""), bad) {
				t.Errorf("%s: there is %q", path, bad)
			}
		}
	}
	for name, kind := range assets {
		_, body, h := ask(t, s, request(s, "GET", "/"+name, nil))
		if h.Get("Content-Type") != kind || strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), "http") && name != "script.js" {
			t.Errorf("%s is %s:\n%s", name, h.Get("Content-Type"), body)
		}
	}
}

func TestALanguageThatThereIsNotIsRefused(t *testing.T) {
	if s, err := New(Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Language: "tlh"}); err == nil || !strings.Contains(err.Error(), `language "tlh"`) {
		t.Errorf("got %v, %v", s, err)
	}
}
