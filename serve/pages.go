package serve

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"sync"

	"github.com/hopblame/hopblame/analyzer/page"
	"github.com/hopblame/hopblame/internal/digits"
)

//go:embed pages
var pageFiles embed.FS

// assets are what pages need besides themselves, and what each is.
var assets = map[string]string{"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}

// pages are the templates in one language.
type pages struct {
	words
	language  string
	templates *template.Template
	told      sync.Map // texts of scenarios, by the English ones
}

func newPages(language string) (*pages, error) {
	w, err := readWords(language)
	if err != nil {
		return nil, err
	}
	p := &pages{words: w, language: language}
	p.templates, err = template.New("").Funcs(template.FuncMap{"say": w.say, "texts": p.texts, "group": digits.Group}).ParseFS(pageFiles, "pages/*.html")
	return p, err
}

// view is a page with what is around it.
type view struct {
	Title   string
	Refresh bool // what it shows changes
	Data    any  // for the template of the page itself
}

// show answers with a page.
func (p *pages) show(w http.ResponseWriter, status int, name string, v view) {
	var body bytes.Buffer
	if err := p.templates.ExecuteTemplate(&body, name+".html", v.Data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	p.write(w, status, "layout", struct {
		view
		Language string
		Body     template.HTML
	}{v, p.language, template.HTML(body.String())})
}

// write answers with a template as it is.
func (p *pages) write(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name+".html", data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // who does not read it, does not want it
}

// refuse says in a line why something is not to be had.
func (p *pages) refuse(w http.ResponseWriter, status int, why string, args ...any) {
	p.show(w, status, "refused", view{Title: p.say("refused"), Data: p.say(why, args...)})
}

// broken says what went wrong here.
func (p *pages) broken(w http.ResponseWriter, err error) {
	p.refuse(w, http.StatusInternalServerError, "broken", err)
}

// asset serves a file that pages need. The style is the report's, and some more.
func (p *pages) asset(name, kind string) http.HandlerFunc {
	text, err := pageFiles.ReadFile("pages/" + name)
	if err != nil {
		panic(err) // it is in the program
	}
	if name == "style.css" {
		text = append([]byte(page.Style()), text...)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text)
	}
}
