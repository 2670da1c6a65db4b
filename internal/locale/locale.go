// Package locale knows the languages that hopblame speaks: which there are, what they are
// called, and how wide their letters are.
package locale

import (
	"fmt"
	"strings"

	"golang.org/x/text/language"
)

// Languages by their BCP 47 tags, as in the lang attribute of HTML.
const (
	English = "en"
	Chinese = "zh-Hans" // simplified
)

// Tags are those of all languages, English first.
var Tags = []string{English, Chinese}

var matcher = language.NewMatcher([]language.Tag{language.MustParse(English), language.MustParse(Chinese)})

// UnknownError says that there is no such language.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("language %q: there are %s", e.Name, strings.Join(Tags, " and "))
}

// Parse finds the language that a name means: a tag ("zh-Hans", "zh", "zh-CN"), or what an
// environment says ("zh_CN.UTF-8"). Another script is another language: who asks for zh-TW
// is not given zh-Hans. What there is not is an [UnknownError].
func Parse(name string) (tag string, err error) {
	plain, _, _ := strings.Cut(name, ".") // of the character set
	plain, _, _ = strings.Cut(plain, "@") // and of a variant, as in ca_ES@euro
	asked, err := language.Parse(plain)
	if err == nil {
		if _, i, sure := matcher.Match(asked); sure >= language.High {
			return Tags[i], nil
		}
	}
	return "", &UnknownError{name}
}

// OfEnvironment is the language of who sits in front of a terminal: the first of LC_ALL,
// LC_MESSAGES and LANG that says something decides (POSIX, XBD §8.2). English, if none does
// or nobody speaks it here.
func OfEnvironment(getenv func(string) string) (tag string) {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := getenv(name); v != "" {
			if tag, err := Parse(v); err == nil {
				return tag
			}
			return English
		}
	}
	return English
}
