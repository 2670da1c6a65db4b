package pcapfilter

import (
	"fmt"
	"strings"
)

type kind uint8

const (
	end kind = iota
	word
	symbol
)

// token is a word or a symbol of an expression.
type token struct {
	kind   kind
	text   string
	offset int
	// closing is the index of the parenthesis that closes this one.
	closing int
}

func (t token) is(texts ...string) bool {
	for _, s := range texts {
		if t.kind != end && t.text == s {
			return true
		}
	}
	return false
}

// failed is the error that t is the reason for.
func (t token) failed(format string, args ...any) error {
	return &SyntaxError{t.offset, fmt.Sprintf(format, args...)}
}

// unexpected says what should stand where t does.
func (t token) unexpected(want string) error {
	if t.kind == end {
		return t.failed("the filter ends, want %s", want)
	}
	return t.failed("got %q, want %s", t.text, want)
}

// symbols are those of the language, longer ones before their beginnings.
var symbols = []string{"&&", "||", "<<", ">>", "<=", ">=", "==", "!=", "(", ")", "[", "]", ":", "!", "<", ">", "=", "+", "-", "*", "/", "&", "|"}

// lex takes an expression apart, ending it with a token of kind end. As in
// tcpdump, hyphens and dots belong to the word they follow, and, outside brackets,
// so do the colons and slashes of an address.
func lex(s string) (tokens []token, err error) {
	var open []int // parentheses
	brackets := 0
	for at := 0; ; {
		at += len(s[at:]) - len(strings.TrimLeft(s[at:], " \t\r\n"))
		if at == len(s) {
			break
		}
		t := token{kind: word, text: leadingWord(s[at:], brackets > 0), offset: at}
		if t.text == "" {
			t.kind = symbol
			for _, x := range symbols {
				if strings.HasPrefix(s[at:], x) {
					t.text = x
					break
				}
			}
		}
		switch t.text {
		case "":
			r := []rune(s[at:])[0]
			return nil, t.failed("%q means nothing in a filter", r)
		case "(":
			open = append(open, len(tokens))
		case ")":
			if len(open) == 0 {
				return nil, t.failed("closes no parenthesis")
			}
			tokens[open[len(open)-1]].closing = len(tokens)
			open = open[:len(open)-1]
		case "[":
			brackets++
		case "]":
			brackets = max(0, brackets-1)
		}
		tokens = append(tokens, t)
		at += len(t.text)
	}
	if len(open) > 0 {
		return nil, tokens[open[len(open)-1]].failed("the parenthesis is not closed")
	}
	return append(tokens, token{kind: end, offset: len(s)}), nil
}

// leadingWord returns the word that s begins with, "" if there is none.
func leadingWord(s string, inBrackets bool) string {
	if s[0] == '.' || s[0] == '-' || s[0] == '/' || s[0] == ':' && (inBrackets || !strings.HasPrefix(s, "::")) {
		return ""
	}
	n := strings.IndexFunc(s, func(r rune) bool {
		switch {
		case '0' <= r && r <= '9', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '_', r == '.', r == '-':
			return false
		case r == ':', r == '/':
			return inBrackets
		}
		return true
	})
	if n < 0 {
		n = len(s)
	}
	return s[:n]
}
