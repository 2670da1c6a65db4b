package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/hopblame/hopblame/internal/locale"
)

// translation is what people read of a scenario, in another language than English: the file
// catalogue/LANGUAGE/NAME.yaml. What is typed on the device is the same in all of them.
type translation struct {
	Title   string `yaml:"title"`
	Symptom string `yaml:"symptom"`
	Lesson  struct {
		Questions []string `yaml:"questions"`
		Hints     []string `yaml:"hints"`
		Answer    string   `yaml:"answer"`
	} `yaml:"lesson"`
}

// In returns the scenario with title, symptom and lesson in a language of [locale.Tags], ""
// being English. One that nobody has translated stays as it is, in English, and so does one
// that is not the catalogue's: ok is false then.
func (s *Scenario) In(lang string) (translated *Scenario, ok bool) {
	if lang == "" || lang == locale.English {
		return s, true
	}
	file := path.Join("catalogue", lang, s.Name+".yaml")
	text, err := catalogue.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || !s.reads(s.Name) {
		return s, false
	}
	if err != nil {
		panic(err) // it is in the program
	}
	t, err := loadTranslation(file, text, s)
	if err != nil {
		panic(err) // a test loads them all
	}
	out := *s
	out.Title, out.Symptom = t.Title, t.Symptom
	out.Lesson.Questions, out.Lesson.Hints, out.Lesson.Answer = t.Lesson.Questions, t.Lesson.Hints, t.Lesson.Answer
	return &out, true
}

// reads says whether a scenario has the words of the catalogue's one of a name: somebody may
// have given his own file that name.
func (s *Scenario) reads(name string) bool {
	file := path.Join("catalogue", name+".yaml")
	text, err := catalogue.ReadFile(file)
	if err != nil {
		return false
	}
	c, err := Load(file, text)
	return err == nil && s.Title == c.Title && s.Symptom == c.Symptom && s.Lesson.Answer == c.Lesson.Answer &&
		slices.Equal(s.Lesson.Questions, c.Lesson.Questions) && slices.Equal(s.Lesson.Hints, c.Lesson.Hints)
}

// loadTranslation reads the translation of s, as strictly as [Load] reads a scenario: it has
// every text that s has, and no other.
func loadTranslation(file string, text []byte, s *Scenario) (*translation, error) {
	t := &translation{}
	if err := read(file, text, t); err != nil {
		return nil, err
	}
	var problems []problem
	one := func(path string, said *string, english string) {
		if (*said == "") != (english == "") {
			problems = append(problems, problem{path, fmt.Errorf("%s: must be there if it is in English, and only then", path[2:])})
		}
		*said = locale.Unfold(*said)
	}
	list := func(path string, said, english []string) {
		if len(said) != len(english) {
			problems = append(problems, problem{path, fmt.Errorf("%s: there are %d, and in English %d", path[2:], len(said), len(english))})
			return
		}
		for i := range said {
			one(fmt.Sprintf("%s[%d]", path, i), &said[i], english[i])
		}
	}
	one("$.title", &t.Title, s.Title)
	one("$.symptom", &t.Symptom, s.Symptom)
	list("$.lesson.questions", t.Lesson.Questions, s.Lesson.Questions)
	list("$.lesson.hints", t.Lesson.Hints, s.Lesson.Hints)
	one("$.lesson.answer", &t.Lesson.Answer, s.Lesson.Answer)
	if len(problems) > 0 {
		return nil, problemsError(file, text, problems)
	}
	return t, nil
}
