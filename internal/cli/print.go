package cli

import (
	"encoding/json"
	"fmt"
	"io"
)

// printer writes lines and keeps the first error.
type printer struct {
	w     io.Writer
	color bool
	err   error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) bold(s string) string {
	if !p.color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// mark says at a glance whether something is as it must be.
func mark(ok bool) string {
	if ok {
		return "✓"
	}
	return "✗"
}

// writeJSON writes a result for programs, and for people who look into it.
func writeJSON(w io.Writer, result any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(result)
}
