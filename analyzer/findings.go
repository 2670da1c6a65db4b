package analyzer

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hopblame/hopblame/internal/digits"
)

func addrPort(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

// findings tells what failing requests share and good ones do not.
func (a *analysis) findings(ms []*matter) []Finding {
	out := []Finding{}
	out = append(out, a.places()...)
	out = append(out, a.reused(ms)...)
	out = append(out, a.slow()...)
	return out
}

// places counts verdicts by hop and cause, the most frequent first.
func (a *analysis) places() []Finding {
	type place struct {
		hop   string
		cause Cause
	}
	n := map[place]int{}
	var order []place
	for _, v := range a.report.Verdicts {
		p := place{v.Hop, v.Cause}
		if n[p]++; n[p] == 1 {
			order = append(order, p)
		}
	}
	slices.SortStableFunc(order, func(x, y place) int { return n[y] - n[x] })
	var out []Finding
	all := len(a.report.Verdicts)
	for _, p := range order {
		what := fmt.Sprintf("%s of %s failures: %s, %s", digits.Group(n[p]), digits.Group(all), p.hop, p.cause)
		if p.hop == "" {
			what = fmt.Sprintf("%s of %s failures: inconclusive", digits.Group(n[p]), digits.Group(all))
		}
		if n[p] == all && p.hop != "" {
			what = fmt.Sprintf("all %s failures: %s, %s", digits.Group(all), p.hop, p.cause)
		}
		out = append(out, Finding{What: what, Requests: n[p], Evidence: []Evidence{}})
	}
	return out
}

// reused compares how often the serverside 5-tuple of failing and of good
// connections had been used before: a stateful hop or a server in TIME_WAIT
// may refuse a reused one, with the same symptom as a loss.
func (a *analysis) reused(ms []*matter) []Finding {
	var ages []int64
	failing := 0
	var at *survey
	var example Evidence
	for _, m := range ms {
		if !m.proxied || m.view == nil || len(m.view.steps) == 0 || m.view == m.client {
			continue
		}
		s := m.view.steps[0].s
		for i := range s.odd {
			o := &s.odd[i]
			if o.tuple == m.view.tuple && o.isn == m.view.isn {
				failing++
				at = s
				if o.gap >= 0 {
					if len(ages) == 0 {
						example = m.view.numbered(s.point, o.frame, "SYN of a 5-tuple used before")
					}
					ages = append(ages, o.gap)
				}
				break
			}
		}
	}
	if at == nil || len(ages) == 0 {
		return nil
	}
	good, goodReused := 0, 0
	for e, v := range at.servers {
		if !a.topo.toProxy(addrPort(at.names.addr(e.addr), e.port)) {
			good += v.reuse.good
			goodReused += v.reuse.goodReused
		}
	}
	slices.Sort(ages)
	median := time.Duration(ages[len(ages)/2]).Round(100 * time.Millisecond)
	percent := func(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
	bad, fine := percent(len(ages), failing), percent(goodReused, good)
	hint := ""
	if good > 0 && fine < 2*bad && 2*fine > bad {
		hint = ": no difference"
	}
	return []Finding{{Requests: len(ages), Evidence: []Evidence{example},
		What: fmt.Sprintf("the serverside 5-tuple had been used before in %s of %s failing sessions (%.1f %%, median %v earlier) and in %s of %s good ones (%.1f %%)%s",
			digits.Group(len(ages)), digits.Group(failing), bad, median, digits.Group(goodReused), digits.Group(good), fine, hint)}}
}

// slow counts connections that came about only after SYN retries, where most
// of them were seen.
func (a *analysis) slow() []Finding {
	most := slices.MaxFunc(a.surveys, func(x, y *survey) int { return x.slowSYNs - y.slowSYNs })
	if most.slowSYNs == 0 {
		return nil
	}
	return []Finding{{Requests: most.slowSYNs, Evidence: []Evidence{most.slowExample},
		What: fmt.Sprintf("%s connections at %s succeeded only after a retransmitted SYN: slow, not failed", digits.Group(most.slowSYNs), most.point.Name)}}
}
