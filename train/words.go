package train

import (
	"cmp"
	"embed"
	"fmt"
	"strings"
	"sync"
	"text/template"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
)

// All that a trainee or a trainer reads is in these files, a folder a language: a template
// a text, and causes.txt, a line a cause. Another language is another folder, with the same
// files, which fill in the same things.
//
//go:embed words
var words embed.FS

// language is what one language says.
type language struct {
	texts    *template.Template // by file name
	meanings map[analyzer.Cause]string
}

// languages are by tag. No other command needs them.
var languages = sync.OnceValue(func() map[string]*language {
	all := map[string]*language{}
	for _, tag := range locale.Tags {
		l := &language{meanings: meanings(tag)}
		l.texts = template.Must(template.New("").Funcs(template.FuncMap{
			"wrap": wrap, "because": because, "join": strings.Join, "meaning": func(c analyzer.Cause) string { return l.meanings[c] },
		}).ParseFS(words, "words/"+tag+"/*.tmpl"))
		all[tag] = l
	}
	return all
})

// in finds a language; "" is English.
func in(tag string) (*language, error) {
	l := languages()[cmp.Or(tag, locale.English)]
	if l == nil {
		return nil, &locale.UnknownError{Name: tag}
	}
	return l, nil
}

// say fills in a text, in a language.
func say(lang, name string, data any) (string, error) {
	l, err := in(lang)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := l.texts.ExecuteTemplate(&b, name+".tmpl", data); err != nil {
		return "", fmt.Errorf("text %s: %w", name, err)
	}
	return b.String(), nil
}

// meanings reads what the causes mean.
func meanings(tag string) map[analyzer.Cause]string {
	text, err := words.ReadFile("words/" + tag + "/causes.txt")
	if err != nil {
		panic(err) // it is in the program
	}
	out := map[analyzer.Cause]string{}
	for line := range strings.Lines(string(text)) {
		if cause, meaning, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			out[analyzer.Cause(cause)] = meaning
		}
	}
	return out
}

// Meaning says in a few words of a language of [locale.Tags] what a cause means; "" of an
// unknown one.
func Meaning(lang string, c analyzer.Cause) string {
	l, err := in(lang)
	if err != nil {
		return ""
	}
	return l.meanings[c]
}

// textWidth is where texts are wrapped, in columns.
const textWidth = 100

// wrap wraps a text, each line behind an indent, and none of its own at the end.
func wrap(indent string, text string) string {
	lines := locale.Wrap(text, textWidth-len(indent))
	if len(lines) == 0 {
		return ""
	}
	return indent + strings.Join(lines, "\n"+indent)
}

// mostCited is how many frames of one statement are named.
const mostCited = 4

// because is why a rival explanation fails, with the frames; none is said before those in
// which something was looked for in vain.
func because(h analyzer.Hypothesis, none string) string {
	var parts []string
	for i := range h.Evidence {
		if i == mostCited {
			parts = append(parts, "…")
			break
		}
		if e := &h.Evidence[i]; e.Kind == analyzer.KindFrame {
			parts = append(parts, frameName(e.File, e.Frame))
		} else {
			parts = append(parts, fmt.Sprintf("%s %s:%d–%d", none, base(e.File), e.FromFrame, e.ToFrame))
		}
	}
	if len(parts) == 0 {
		return h.Why
	}
	return h.Why + " (" + strings.Join(parts, ", ") + ")"
}
