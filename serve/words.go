package serve

import (
	"embed"
	"fmt"
	"strings"
)

// All that a page says is in these files, so that another language is another folder: a line
// a sentence, its name before the colon. Verbs are those of package fmt, with indexes where
// a language has another order.
//
//go:embed words
var wordFiles embed.FS

// words are sentences by name.
type words map[string]string

// readWords reads a language, by the name of its folder: a BCP 47 tag.
func readWords(language string) (words, error) {
	text, err := wordFiles.ReadFile("words/" + language + "/pages.txt")
	if err != nil {
		return nil, fmt.Errorf("language %q: %w", language, err)
	}
	w := words{}
	for line := range strings.Lines(string(text)) {
		if name, sentence, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			w[name] = sentence
		}
	}
	return w, nil
}

// say fills in a sentence. A name that is not there is a mistake in this package, and shown
// as such; a test finds it.
func (w words) say(name string, args ...any) string {
	s, ok := w[name]
	switch {
	case !ok:
		return "!" + name
	case len(args) == 0:
		return s
	}
	return fmt.Sprintf(s, args...)
}
