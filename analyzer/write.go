package analyzer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// WriteJSON writes the report as verdicts.json, filters readable. Verdicts are
// encoded one by one: the text of all of them is several times as large as what
// they are made of.
func (r *Report) WriteJSON(w io.Writer) error {
	out := jsonWriter{w: bufio.NewWriterSize(w, 64<<10)}
	out.field("{", "schema_version", r.SchemaVersion)
	out.field(",", "points", r.Points)
	out.field(",", "requests", r.Requests)
	if len(r.Verdicts) == 0 {
		out.field(",", "verdicts", r.Verdicts)
	} else {
		out.text(",\n \"verdicts\": [")
		for i := range r.Verdicts {
			out.text(map[bool]string{true: "\n  ", false: ",\n  "}[i == 0])
			out.value("  ", &r.Verdicts[i])
		}
		out.text("\n ]")
	}
	out.field(",", "findings", r.Findings)
	out.field(",", "warnings", r.Warnings)
	out.text("\n}\n")
	if out.err != nil {
		return out.err
	}
	return out.w.Flush()
}

// jsonWriter writes pieces of an indented document and keeps the first error.
type jsonWriter struct {
	w   *bufio.Writer
	buf bytes.Buffer
	err error
}

func (j *jsonWriter) text(s string) {
	if j.err == nil {
		_, j.err = j.w.WriteString(s)
	}
}

func (j *jsonWriter) field(before, name string, v any) {
	j.text(fmt.Sprintf("%s\n %q: ", before, name))
	j.value(" ", v)
}

func (j *jsonWriter) value(prefix string, v any) {
	if j.err != nil {
		return
	}
	j.buf.Reset()
	e := json.NewEncoder(&j.buf)
	e.SetEscapeHTML(false)
	e.SetIndent(prefix, " ")
	if j.err = e.Encode(v); j.err == nil {
		_, j.err = j.w.Write(bytes.TrimSuffix(j.buf.Bytes(), []byte("\n")))
	}
}
