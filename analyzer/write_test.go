package analyzer

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// TestWriteJSONIsPlainJSON compares with the encoder of the standard library.
func TestWriteJSONIsPlainJSON(t *testing.T) {
	s := newStory(t)
	s.failing(at, 17, 54373, 2, "firewall/feth11", "")
	s.failing(at, 18, 54374, 2, "firewall/feth10", "")
	s.background(0, 100)
	for _, r := range []*Report{s.analyze(), {Verdicts: []Verdict{}}, {}} {
		var want, got bytes.Buffer
		e := json.NewEncoder(&want)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		if err := errors.Join(e.Encode(r), r.WriteJSON(&got)); err != nil {
			t.Fatal(err)
		}
		if want.String() != got.String() {
			t.Errorf("got %s\nwant %s", got.String(), want.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestWriteJSONReportsWhatItCannotWrite(t *testing.T) {
	if err := (&Report{}).WriteJSON(full{}); err == nil {
		t.Error("no error")
	}
}
