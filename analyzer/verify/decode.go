package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// maxVerdicts bounds a verdicts.json; ours take some 10 kB a failed request.
const maxVerdicts = 1 << 30

// Decode reads a verdicts.json strictly: an unknown key, another version or anything
// behind it is an [*analyzer.InputError] with line and column. name is for people.
func Decode(name string, r io.Reader) (*analyzer.Report, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxVerdicts+1))
	if err != nil {
		return nil, &analyzer.InputError{Kind: analyzer.ErrIO, File: name, What: "cannot be read", Err: plain(err)}
	}
	bad := func(offset int64, what string) error {
		before := raw[:max(0, min(offset, int64(len(raw))))]
		line, column := 1+bytes.Count(before, []byte("\n")), len(before)-bytes.LastIndexByte(before, '\n')
		return &analyzer.InputError{Kind: analyzer.ErrMalformed, File: fmt.Sprintf("%s:%d:%d", name, line, column), What: what,
			Fix: "give what hopblame analyze --json has written"}
	}
	if len(raw) > maxVerdicts {
		return nil, bad(0, fmt.Sprintf("is larger than %d bytes", maxVerdicts))
	}
	var report analyzer.Report
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err = d.Decode(&report)
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return nil, bad(syntax.Offset, "is not JSON: "+err.Error())
	case errors.As(err, &mistyped):
		return nil, bad(mistyped.Offset, fmt.Sprintf("is no verdicts.json: %s is a %s", mistyped.Field, mistyped.Value))
	case errors.Is(err, io.EOF):
		return nil, bad(0, "is empty")
	case err != nil:
		// An unknown key, most likely; the decoder tells only which.
		what := strings.TrimPrefix(err.Error(), "json: ")
		at := bytes.Index(raw, []byte(strings.TrimPrefix(what, "unknown field ")))
		return nil, bad(int64(at), "is no verdicts.json: "+what)
	case report.SchemaVersion != analyzer.SchemaVersion:
		return nil, bad(0, fmt.Sprintf("has schema_version %d, this program reads %d", report.SchemaVersion, analyzer.SchemaVersion))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad(d.InputOffset(), "goes on behind its end")
	}
	return &report, nil
}
