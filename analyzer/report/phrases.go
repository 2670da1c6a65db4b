package report

import (
	"fmt"
	"strings"

	"github.com/hopblame/hopblame/analyzer"
)

// Phrase is a sentence about a verdict that is not yet in words: its name in a language's
// words, and what is filled in, which may be phrases as well.
type Phrase struct {
	Name string
	Args []any
}

// In puts the phrase into words: formats by name, those of package fmt, with indexes where
// a language has another order. A name that is not there is shown as such.
func (p Phrase) In(words map[string]string) string {
	format, ok := words[p.Name]
	if !ok {
		return "!" + p.Name
	}
	if len(p.Args) == 0 {
		return format
	}
	args := make([]any, len(p.Args))
	for i, a := range p.Args {
		if q, ok := a.(Phrase); ok {
			a = q.In(words)
		}
		args[i] = a
	}
	return fmt.Sprintf(format, args...)
}

// English are the words of all phrases in English.
var English = map[string]string{
	"lost-syn":      "SYN",
	"lost-syn-ack":  "SYN-ACK",
	"lost-ack":      "ACK",
	"lost-request":  "request",
	"lost-response": "response",
	"lost-packet":   "packet",

	"where-corrupted": "The packet was whole at %[1]s; at %[2]s its checksum is wrong.",
	"where-rewritten": "The packet was as it was sent at %[1]s; at %[2]s its TTL or its sequence number is another.",
	"where-delayed":   "The packet passed %[1]s before somebody gave up, and %[2]s after it.",
	"where-injected":  "The RST was seen at %[1]s and not at %[2]s, nearer to its alleged sender.",
	"where-lost":      "The %[1]s was last seen at %[2]s and never at %[3]s.",
	"where-open":      "The %[1]s was last seen at %[2]s; whether it ever came to %[3]s is not proven.",
	"where-arrived":   "The SYN arrived at %[1]s, and nothing came back.",
	"where-at":        "Seen at %[1]s.",
	"where-last":      "The %[1]s was last seen at %[2]s.",
	"where-unknown":   "The captures do not show on which connection it failed.",

	"why-syn-link":     "%[1]s sent the SYN, %[2]s never received it",
	"why-syn":          "%[1]s received the SYN and did not forward it",
	"why-syn-ack-link": "%[1]s sent the SYN-ACK, %[2]s never received it",
	"why-syn-ack":      "%[1]s received the SYN-ACK and did not forward it",
	"why-asymmetric":   "%[1]s received the SYN-ACK of a SYN that had come past it, and did not forward it",
	"why-no-answer":    "%[1]s received the SYN and did not answer",
	"why-injected":     "%[1]s made the RST",
	"why-rewritten":    "%[1]s made another packet of it",
	"why-delayed":      "%[1]s held the packet up until nobody waited for it any more",
	"why-corrupted":    "%[1]s changed the packet, and its receiver threw it away",
	"why-refused":      "%[1]s refused the connection",
	"why-cause":        "%[1]s: %[2]s",
}

// lost names what a cause says was lost.
var lost = map[analyzer.Cause]string{
	analyzer.SYNDropped:      "lost-syn",
	analyzer.Rejected:        "lost-syn",
	analyzer.SYNAckDropped:   "lost-syn-ack",
	analyzer.AsymmetricPath:  "lost-syn-ack",
	analyzer.AckDropped:      "lost-ack",
	analyzer.DataDropped:     "lost-request",
	analyzer.ResponseDropped: "lost-response",
}

// Whereabouts says in English where the packet in question was last seen.
func Whereabouts(v *analyzer.Verdict) string { return WhereaboutsOf(v).In(English) }

// WhereaboutsOf says where the packet in question was last seen.
func WhereaboutsOf(v *analyzer.Verdict) Phrase {
	packet := Phrase{Name: lost[v.Cause]}
	if packet.Name == "" {
		packet.Name = "lost-packet"
	}
	switch {
	case v.Cause == analyzer.Corrupted && len(v.Between) == 2:
		return Phrase{"where-corrupted", []any{v.Between[0], v.Between[1]}}
	case v.Cause == analyzer.Rewritten && len(v.Between) == 2:
		return Phrase{"where-rewritten", []any{v.Between[0], v.Between[1]}}
	case v.Cause == analyzer.Delayed && len(v.Between) == 2:
		return Phrase{"where-delayed", []any{v.Between[0], v.Between[1]}}
	case v.Cause == analyzer.ResetInjected && len(v.Between) == 2:
		return Phrase{"where-injected", []any{v.Between[0], v.Between[1]}}
	case len(v.Between) == 2 && v.Hop != "":
		return Phrase{"where-lost", []any{packet, v.Between[0], v.Between[1]}}
	case len(v.Between) == 2:
		return Phrase{"where-open", []any{packet, v.Between[0], v.Between[1]}}
	case v.Cause == analyzer.NoAnswer && len(v.Between) == 1:
		return Phrase{"where-arrived", []any{v.Between[0]}}
	case len(v.Between) == 1 && v.Hop != "":
		return Phrase{"where-at", []any{v.Between[0]}}
	case len(v.Between) == 1:
		return Phrase{"where-last", []any{packet, v.Between[0]}}
	}
	return Phrase{Name: "where-unknown"}
}

// Sentence puts the verdict's explanation in one English sentence, in the words of the
// hypotheses it was chosen from.
func Sentence(v *analyzer.Verdict) string { return SentenceOf(v).In(English) }

// SentenceOf is the verdict's explanation.
func SentenceOf(v *analyzer.Verdict) Phrase {
	if strings.HasPrefix(v.Hop, "link:") && len(v.Between) == 2 { // hop names may contain hyphens, so the points tell
		a, _, _ := strings.Cut(v.Between[0], "/")
		b, _, _ := strings.Cut(v.Between[1], "/")
		switch v.Cause {
		case analyzer.SYNDropped:
			return Phrase{"why-syn-link", []any{a, b}}
		case analyzer.SYNAckDropped:
			return Phrase{"why-syn-ack-link", []any{a, b}}
		}
	}
	name, ok := whys[v.Cause]
	if !ok {
		return Phrase{"why-cause", []any{v.Hop, string(v.Cause)}}
	}
	return Phrase{name, []any{v.Hop}}
}

// whys are the phrases for causes that have one of their own.
var whys = map[analyzer.Cause]string{
	analyzer.SYNDropped:     "why-syn",
	analyzer.SYNAckDropped:  "why-syn-ack",
	analyzer.AsymmetricPath: "why-asymmetric",
	analyzer.NoAnswer:       "why-no-answer",
	analyzer.ResetInjected:  "why-injected",
	analyzer.Rewritten:      "why-rewritten",
	analyzer.Delayed:        "why-delayed",
	analyzer.Corrupted:      "why-corrupted",
	analyzer.PortClosed:     "why-refused",
	analyzer.Rejected:       "why-refused",
}
