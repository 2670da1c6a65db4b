package analyzer

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/internal/digits"
)

func addrPort(a netip.Addr, p uint16) netip.AddrPort { return netip.AddrPortFrom(a, p) }

// findings tells what failing requests share and good ones do not.
func (a *analysis) findings(ms []*matter) []Finding {
	out := []Finding{}
	out = append(out, a.places()...)
	out = append(out, a.reused(ms)...)
	out = append(out, a.servers(ms)...)
	out = append(out, a.bursts(ms)...)
	out = append(out, a.sizes(ms)...)
	out = append(out, a.slow()...)
	out = append(out, a.sealedFindings()...)
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

// slow counts connections that came about only after SYN retries, where most
// of them were seen.
func (a *analysis) slow() []Finding {
	most := slices.MaxFunc(a.surveys, func(x, y *survey) int { return x.slowSYNs - y.slowSYNs })
	if most.slowSYNs == 0 {
		return nil
	}
	example := []Evidence{}
	v := a.view(a.cols, a.wanted.index[most.slowExample], most.slowExample, most.slowISN, true)
	for i := range v.steps {
		if g := v.steps[i].of(synKind(v)); v.steps[i].s == most && len(g) > 0 {
			example = append(example, v.frame(i, g[0], "the first SYN of a connection that needed several"))
		}
	}
	return []Finding{{Requests: most.slowSYNs, Evidence: example,
		What: fmt.Sprintf("%s connections at %s succeeded only after a retransmitted SYN: slow, not failed", digits.Group(most.slowSYNs), most.point.Name)}}
}

// unusual is a chance below which a difference between failing and good requests
// is worth telling.
const unusual = 1e-4

// tail is the probability of k or more successes in n trials of chance p.
func tail(k, n int, p float64) float64 {
	if k <= 0 || p >= 1 {
		return 1
	}
	if p <= 0 {
		return 0
	}
	choose := func(n, k int) float64 {
		a, _ := math.Lgamma(float64(n + 1))
		b, _ := math.Lgamma(float64(k + 1))
		c, _ := math.Lgamma(float64(n - k + 1))
		return a - b - c
	}
	sum := 0.0
	for i := k; i <= n; i++ {
		term := math.Exp(choose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		if sum += term; term < sum*1e-12 && float64(i) > float64(n)*p {
			break
		}
	}
	return min(1, sum)
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(max(of, 1)) }
