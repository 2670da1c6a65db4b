package page

import (
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/locale"
)

// words are what the page says in one language, by name; verbs are those of package fmt,
// with indexes where a language has another order. What the analyzer itself says of a
// request is in English in all of them, and marked as such.
type words map[string]string

// languages are named by BCP 47 tags, as in the lang attribute of HTML.
var languages = map[string]words{locale.English: english, locale.Chinese: chinese}

// Languages are the tags of the languages that a page can be written in.
func Languages() []string { return slices.Sorted(maps.Keys(languages)) }

// say fills in a sentence. A name that is not there is a mistake in this package, and shown
// as such; a test finds it.
func (w words) say(name string, args ...any) string {
	s, ok := w[name]
	if !ok {
		return "!" + name
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

// html fills in a sentence that has markup: what is no HTML yet is made so.
func (w words) html(name string, args ...any) template.HTML {
	for i, a := range args {
		if s, plain := a.(string); plain {
			args[i] = template.HTML(esc(s))
		}
	}
	format, ok := w[name]
	if !ok {
		format = "!" + name
	}
	return template.HTML(fmt.Sprintf(esc(format), args...))
}

// list joins what is alike.
func (w words) list(parts []string) string { return strings.Join(parts, w["list-comma"]) }

// outcome is how a request failed.
func (w words) outcome(o analyzer.Outcome) string { return w.say("outcome-" + string(o)) }
