package scenarios

import (
	"encoding"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/hopblame/hopblame/sim/bigip"
)

// scalar is a value of a file that is neither a mapping nor a list, and what the format
// has in its place.
type scalar struct {
	ast.Node
	path string
	want reflect.Type
}

// scalars lists a file's scalars, as far as the format knows them.
func scalars(text []byte) (all []scalar) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil
	}
	keys := map[ast.Node]bool{}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		ast.Walk(visitor(func(n ast.Node) {
			if m, ok := n.(*ast.MappingValueNode); ok {
				keys[m.Key] = true
			}
			if _, ok := n.(ast.ScalarNode); !ok || keys[n] {
				return
			}
			if want := typeAt(n.GetPath()); want != nil {
				all = append(all, scalar{n, n.GetPath(), want})
			}
		}), d.Body)
	}
	return all
}

// visitor is an [ast.Visitor] that visits everything.
type visitor func(ast.Node)

func (v visitor) Visit(n ast.Node) ast.Visitor {
	v(n)
	return v
}

// typeAt returns the type of the value at a path, "$.f5.pool.members[0].ratio"; nil if
// the format has none there.
func typeAt(path string) reflect.Type {
	t := reflect.TypeFor[Scenario]()
	for _, key := range strings.Split(path, ".")[1:] {
		key, _, _ = strings.Cut(key, "[")
		if t = fieldType(t, key); t == nil {
			return nil
		}
	}
	return t
}

// fieldType returns the type of a key's value; of a list, that of its elements.
func fieldType(t reflect.Type, key string) reflect.Type {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case name == key && key != "-":
			t := f.Type
			for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
				t = t.Elem()
			}
			return t
		case name == "": // inlined
			if t := fieldType(f.Type, key); t != nil {
				return t
			}
		}
	}
	return nil
}

// fractions finds numbers that must be whole and are not: the decoder would cut the
// fraction off unsaid.
func fractions(text []byte) (problems []problem) {
	for _, s := range scalars(text) {
		if s.want.Kind() == reflect.Int && s.Type() == ast.FloatType {
			problems = append(problems, problem{s.path, fmt.Errorf("got %q, want a whole number", s.GetToken().Value)})
		}
	}
	return problems
}

// asTyped gives the f5's tcpdump back what a file says: 0.0 without quotes is a number to
// YAML, and the decoder makes "0" of it.
func asTyped(text []byte, s *Scenario) {
	for _, v := range scalars(text) {
		if v.want == reflect.TypeFor[bigip.Tcpdump]() && v.Type() == ast.FloatType {
			s.F5.Tcpdump = bigip.Tcpdump(v.GetToken().Value)
		}
	}
}

// unreadable finds the value that the decoder could not read, and did not say where it
// stands; why is empty where the error says all there is to say.
func unreadable(text []byte, err error) (line, column int, why string) {
	for _, s := range scalars(text) {
		at := s.GetToken()
		if at.Position == nil {
			continue
		}
		if s.want == reflect.TypeFor[time.Duration]() {
			if _, e := time.ParseDuration(at.Value); e != nil && e.Error() == err.Error() {
				return at.Position.Line, at.Position.Column, ""
			}
		}
		if v, ok := reflect.New(s.want).Interface().(encoding.TextUnmarshaler); ok {
			if e := v.UnmarshalText([]byte(at.Value)); e != nil && e.Error() == err.Error() {
				return at.Position.Line, at.Position.Column, fmt.Sprintf("got %q, want %s", at.Value, inWords(s.want))
			}
		}
	}
	return 1, 1, ""
}

// addressesInWords are what an address looks like.
var addressesInWords = map[reflect.Type]string{
	reflect.TypeFor[netip.Addr]():     "an address, such as 198.18.60.5",
	reflect.TypeFor[netip.AddrPort](): "an address and a port, such as 198.18.160.81:8000",
}
