package analyzer

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/hopblame/hopblame/internal/digits"
)

// servers tells whether failures prefer one of several servers, by the serverside
// connections of failing and of good requests.
func (a *analysis) servers(ms []*matter) []Finding {
	failed := map[netip.AddrPort]int{}
	all := 0
	var at *survey
	for _, m := range ms {
		if m.proxied && m.view != nil && m.view != m.client && len(m.view.steps) > 0 {
			failed[m.view.server]++
			all++
			at = m.view.steps[0].s
		}
	}
	if at == nil || len(at.servers) < 2 {
		return nil
	}
	good, goodAll := map[netip.AddrPort]int{}, 0
	for e, v := range at.servers {
		if to := addrPort(at.names.addr(e.addr), e.port); !a.topo.toProxy(to) {
			good[to] += v.reuse.good
			goodAll += v.reuse.good
		}
	}
	servers := make([]netip.AddrPort, 0, len(failed))
	for s := range failed {
		servers = append(servers, s)
	}
	slices.SortFunc(servers, func(x, y netip.AddrPort) int { return cmp.Or(failed[y]-failed[x], x.Compare(y)) })
	worst := servers[0]
	share := float64(good[worst]) / float64(max(goodAll, 1))
	if goodAll == 0 || tail(failed[worst], all, share) > unusual {
		return nil
	}
	return []Finding{{Requests: failed[worst], Evidence: []Evidence{},
		What: fmt.Sprintf("%s of %s failing sessions went to %s (%.1f %%), but %s of %s good ones (%.1f %%)",
			digits.Group(failed[worst]), digits.Group(all), worst, percent(failed[worst], all),
			digits.Group(good[worst]), digits.Group(goodAll), 100*share)}}
}
