package testkit

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onsi/ginkgo/v2"

	"github.com/hopblame/hopblame/scenarios"
	"github.com/hopblame/hopblame/sim/bigip"
)

// Scenario returns a scenario of the catalogue by name, or of a .yaml file by its path,
// for the caller to change as he likes. Where there is none it fails the spec. One that
// is built in Go is a [scenarios.Scenario] like any other.
func Scenario(name string) *scenarios.Scenario {
	ginkgo.GinkgoHelper()
	s, err := scenarios.Find(name)
	if err != nil {
		ginkgo.Fail(err.Error())
	}
	return s
}

// Catalogue returns scenarios of the catalogue by name, all of them without any name. It
// is for tables, which are made before there is a spec to fail: it panics where there is
// no such scenario.
func Catalogue(names ...string) (list []*scenarios.Scenario) {
	all, err := scenarios.All()
	if err != nil {
		panic(err)
	}
	if len(names) == 0 {
		return all
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(s *scenarios.Scenario) bool { return s.Name == name })
		if i < 0 {
			_, err := scenarios.Find(name) // which knows the nearest one
			panic(fmt.Sprint("testkit.Catalogue: ", err))
		}
		list = append(list, all[i])
	}
	return list
}

// Entries makes the rows of a DescribeTable whose function takes a *[scenarios.Scenario]:
// one a scenario, under its name, with labels to filter by: the hops and causes of its
// right answers ("hop:firewall", "cause:syn-dropped"), and the classes of what is broken
// ("fault:drop"). More decorators, such as a SpecTimeout, go to every row.
//
//	DescribeTable("is blamed on its hop", func(ctx SpecContext, s *scenarios.Scenario) {
//		Expect(testkit.Run(ctx, s)).To(testkit.MatchExpectations(s))
//	}, testkit.Entries(testkit.Catalogue(), SpecTimeout(time.Minute)))
func Entries(all []*scenarios.Scenario, decorators ...any) (rows []ginkgo.TableEntry) {
	for _, s := range all {
		args := append([]any{s, ginkgo.Label(labels(s)...)}, decorators...)
		rows = append(rows, ginkgo.Entry(s.Name, args...))
	}
	return rows
}

// labels are what a scenario can be found by. A label of Ginkgo's has no colon but the
// one behind its key.
func labels(s *scenarios.Scenario) (list []string) {
	add := func(key, value string) {
		label := key + ":" + strings.ReplaceAll(value, ":", "-")
		if value != "" && !slices.Contains(list, label) {
			list = append(list, label)
		}
	}
	for i := range s.Faults {
		add("fault", string(s.Faults[i].Do))
	}
	for _, e := range s.Expect {
		add("hop", e.Hop)
		add("cause", string(e.Cause))
	}
	return list
}

// Fast returns a copy of s whose f5 gives up soon: a request whose packets are lost hangs
// for 0.4 s instead of the incident's 4. Timers that a scenario is about, such as its idle
// timeout, stay. Of somebody else's proxy it changes nothing.
func Fast(s *scenarios.Scenario) *scenarios.Scenario {
	c := *s
	p := &c.F5.Serverside
	p.SYNMaxRetrans, p.SYNRTOBase, p.SYNBackoff = bigip.Fast.SYNMaxRetrans, bigip.Fast.SYNRTOBase, bigip.Fast.SYNBackoff
	p.MaxRetrans, p.MinimumRTO = bigip.Fast.MaxRetrans, bigip.Fast.MinimumRTO
	return &c
}
