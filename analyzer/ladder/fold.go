package ladder

import "github.com/hopblame/hopblame/analyzer"

// Of a long transfer only the ends are drawn, and what is odd in between.
const (
	plainRows = 48  // so many rows are drawn whatever they are
	atEnds    = 16  // rows that are kept at each end of the ladder
	mostRows  = 240 // more than this nobody reads: then what is odd is left out, too
	shortRun  = 3   // runs up to this long are not worth leaving out
)

// fold leaves out the middle of a long ladder.
func fold(rows []Row) []Row {
	if len(rows) <= plainRows {
		return rows
	}
	out := leaveOut(rows, (*Row).plain)
	if len(out) > mostRows {
		out = leaveOut(out, func(r *Row) bool { return !r.Cited })
	}
	return out
}

// leaveOut puts one row for each run of rows that may go, but for the ends.
func leaveOut(rows []Row, may func(*Row) bool) []Row {
	var out []Row
	for i := 0; i < len(rows); {
		j := i
		for j < len(rows)-atEnds && i >= atEnds && rows[j].Omitted == 0 && may(&rows[j]) {
			j++
		}
		if j-i > shortRun {
			out = append(out, Row{At: rows[i].At, Flow: rows[i].Flow, What: "more", Omitted: j - i, Next: -1, From: -1, Spoiled: -1})
			i = j
			continue
		}
		if j == i {
			j++
		}
		out = append(out, rows[i:j]...)
		i = j
	}
	return out
}

// plain tells whether a row is nothing but data or its acknowledgment, which arrived.
func (r *Row) plain() bool {
	return r.Fate == Arrived && !r.Born && !r.Cited && !r.Retry && r.Spoiled < 0 && r.Flags&(analyzer.FlagSYN|analyzer.FlagFIN|analyzer.FlagRST) == 0 && r.Flags != 0
}
