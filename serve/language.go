package serve

import "github.com/hopblame/hopblame/scenarios"

// texts are what is read of a scenario, in the language of the pages.
type texts struct {
	Title, Symptom string
	Foreign        bool // nobody has translated it: it is English in a page of another language
}

// texts finds them, once: a translation is read from a file, and the first page has one of
// every scenario.
func (p *pages) texts(x *scenarios.Scenario) texts {
	english := texts{Title: x.Title, Symptom: x.Symptom}
	if known, ok := p.told.Load(english); ok {
		return known.(texts)
	}
	shown, ok := x.In(p.language)
	t := texts{shown.Title, shown.Symptom, !ok}
	p.told.Store(english, t)
	return t
}
