package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/hopblame/hopblame/analyzer"
	"github.com/hopblame/hopblame/internal/nearest"
)

// maxVerdicts bounds what an analyzer may say, in bytes; ours takes some 10 kB a failed
// request.
const maxVerdicts = 1 << 30

// Verdicts are what an analyzer said.
type Verdicts struct {
	All []analyzer.Verdict
	// Confident says whether any of them has a confidence: to leave it out is not to
	// be certain of nothing.
	Confident bool
}

// Decode reads verdicts of any analyzer: an object with a list "verdicts", each of which
// has "hop", "cause" and a "request" with an "id", or a "client" and what else there is.
// What else is in it is ignored, for it is the author's own affair. name is for people.
//
// What cannot be judged — no JSON, a cause that is no word of [analyzer.Causes], no way to
// tell which request is meant — is an [*analyzer.InputError] that says where.
func Decode(name string, r io.Reader) (*Verdicts, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxVerdicts+1))
	if err != nil {
		return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be read", Err: err}
	}
	bad := func(format string, args ...any) error {
		return &analyzer.InputError{Kind: analyzer.ErrMalformed, File: name, What: fmt.Sprintf(format, args...),
			Fix: `write {"schema_version":1,"verdicts":[{"request":{"id":"17"},"hop":"firewall","cause":"syn-dropped","confidence":0.99}]}`}
	}
	if len(raw) > maxVerdicts {
		return nil, bad("is larger than %d bytes", maxVerdicts)
	}
	var file struct {
		SchemaVersion *int               `json:"schema_version"`
		Verdicts      *[]json.RawMessage `json:"verdicts"`
	}
	switch err := json.Unmarshal(raw, &file); {
	case len(bytes.TrimSpace(raw)) == 0:
		return nil, bad("is empty")
	case err != nil:
		return nil, bad("%s%s", line(raw, err), plainly(err))
	case file.SchemaVersion != nil && *file.SchemaVersion != analyzer.SchemaVersion:
		return nil, bad("has schema_version %d, this program reads %d", *file.SchemaVersion, analyzer.SchemaVersion)
	case file.Verdicts == nil:
		return nil, bad(`has no list "verdicts"; where nothing failed it is empty`)
	}
	v := &Verdicts{All: make([]analyzer.Verdict, len(*file.Verdicts))}
	for i, text := range *file.Verdicts {
		one := struct {
			Request    analyzer.RequestRef `json:"request"`
			Hop        string              `json:"hop"`
			Cause      *analyzer.Cause     `json:"cause"`
			Confidence *float64            `json:"confidence"`
			Evidence   json.RawMessage     `json:"evidence"` // is for people
		}{}
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, bad("verdicts[%d]: %s", i, plainly(err))
		}
		switch r := one.Request; {
		case one.Cause == nil:
			return nil, bad("verdicts[%d]: has no cause; where nothing can be named it is %q", i, analyzer.Inconclusive)
		case !one.Cause.Valid():
			return nil, bad("verdicts[%d]: cause %q is none%s", i, *one.Cause, nearest.HintOrAll(*one.Cause, slices.Collect(maps.Keys(analyzer.Causes))))
		case r.ID == "" && r.Client == "":
			return nil, bad("verdicts[%d]: request: has neither id nor client, so nobody knows which it is", i)
		}
		v.All[i] = analyzer.Verdict{Request: one.Request, Hop: one.Hop, Cause: *one.Cause}
		if c := one.Confidence; c != nil {
			if *c < 0 || *c > 1 {
				return nil, bad("verdicts[%d]: confidence %v is no probability", i, *c)
			}
			v.All[i].Confidence, v.Confident = *c, true
		}
	}
	return v, nil
}

// plainly is an error of the JSON decoder in fewer words.
func plainly(err error) string {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		is := "a " + mistyped.Value
		if mistyped.Value == "array" || mistyped.Value == "object" {
			is = "an " + mistyped.Value
		}
		if mistyped.Field == "" {
			return "is " + is
		}
		return fmt.Sprintf("%q is %s", mistyped.Field, is)
	}
	return "is not JSON: " + err.Error()
}

// line says in which line a syntax error is.
func line(raw []byte, err error) string {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return ""
	}
	return fmt.Sprintf("line %d ", 1+bytes.Count(raw[:min(int(syntax.Offset), len(raw))], []byte("\n")))
}
