package scenarios

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
)

// Encode writes a scenario as a file that [Load] reads again. It holds what the scenario
// sets; what stands for a default is left out, as the format has it.
func (s *Scenario) Encode() ([]byte, error) {
	text, err := yaml.MarshalWithOptions(mapping(reflect.ValueOf(*s)), yaml.IndentSequence(true), yaml.UseLiteralStyleIfMultiline(false))
	if err != nil {
		return nil, fmt.Errorf("write scenario %s: %w", s.Name, err)
	}
	return text, nil
}

// mapping lists what a struct of the format sets, in the format's order.
func mapping(v reflect.Value) (set yaml.MapSlice) {
	for i := range v.NumField() {
		key, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		field := v.Field(i)
		switch {
		case key == "-": // the lab's own
		case options == "inline":
			set = append(set, mapping(field)...)
		case field.IsZero() && key != "probability": // 0 is no default there: it says never
		default:
			set = append(set, yaml.MapItem{Key: key, Value: value(field)})
		}
	}
	return set
}

// value returns a value of the format as the YAML library writes it.
func value(v reflect.Value) any {
	if d, ok := v.Interface().(time.Duration); ok {
		return d.String()
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		return value(v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = value(v.Index(i))
		}
		return list
	case reflect.Struct:
		return mapping(v)
	case reflect.String:
		if s := v.String(); strings.ContainsFunc(s, isControl) {
			return quoted(s)
		}
		return v.String()
	}
	return v.Interface()
}

// isControl says whether a character is one that only a quoted text can hold.
func isControl(r rune) bool { return unicode.IsControl(r) && r != '\n' }

// quoted is a text in quotation marks: of a plain one the library drops the tabs when it
// reads it again.
type quoted string

// MarshalYAML implements [yaml.BytesMarshaler].
func (q quoted) MarshalYAML() ([]byte, error) { return json.Marshal(string(q)) }
