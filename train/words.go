package train

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"text/template"

	"github.com/hopblame/hopblame/analyzer"
)

// All that a trainee or a trainer reads is in these files, so that another language is
// another folder: a template a text, and causes.txt, a line a cause.
//
//go:embed words/en
var words embed.FS

// texts are the templates, by file name. No other command needs them.
var texts = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"wrap": wrap, "because": because, "join": strings.Join, "meaning": Meaning,
	}).ParseFS(words, "words/en/*.tmpl"))
})

// say fills in a text.
func say(name string, data any) (string, error) {
	var b strings.Builder
	if err := texts().ExecuteTemplate(&b, name+".tmpl", data); err != nil {
		return "", fmt.Errorf("text %s: %w", name, err)
	}
	return b.String(), nil
}

// meanings say what the causes mean.
var meanings = sync.OnceValue(func() map[analyzer.Cause]string {
	text, err := words.ReadFile("words/en/causes.txt")
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
})

// Meaning says in a few words what a cause means; "" of an unknown one.
func Meaning(c analyzer.Cause) string { return meanings()[c] }

// textWidth is where texts are wrapped, in columns.
const textWidth = 100

// wrap wraps a text at spaces, each line behind an indent, and none of its own at the end.
func wrap(indent string, text string) string {
	var b strings.Builder
	used := 0
	for _, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case used == 0:
			b.WriteString(indent)
			used = len(indent)
		case used+1+n > textWidth:
			b.WriteString("\n" + indent)
			used = len(indent)
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += n
	}
	return b.String()
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
