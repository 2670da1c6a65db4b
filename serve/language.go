package serve

import "github.com/hopblame/hopblame/scenarios"

// texts are what is read of a scenario, in the language of the pages.
type texts struct {
	Title, Symptom string
	Foreign        bool // nobody has translated it: it is English in a page of another language
}

// texts finds them.
func (p *pages) texts(x *scenarios.Scenario) texts {
	shown, ok := x.In(p.language)
	return texts{shown.Title, shown.Symptom, !ok}
}
