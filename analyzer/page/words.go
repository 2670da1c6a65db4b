package page

import (
	"fmt"
	"maps"
	"slices"
)

// words are what the page says in one language, by name; verbs are those of package fmt,
// with indexes where a language has another order. What the analyzer itself says of a
// request is in English in all of them.
type words map[string]string

// languages are named by BCP 47 tags, as in the lang attribute of HTML.
var languages = map[string]words{"en": english}

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
