package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// measurement is what came out at one concurrency.
type measurement struct {
	concurrency            int
	haproxy, ours, control turn      // of all rounds
	ratios, controls       []float64 // by round, to haproxy's
}

// measure plays as many rounds as a concurrency's part of the time allows; one at
// least.
func (p plan) measure(ctx context.Context, all contenders, concurrency int) (m measurement, err error) {
	m.concurrency = concurrency
	end := time.Now().Add(p.time / time.Duration(len(concurrencies)))
	for _, c := range all { // to warm up
		if _, err := c.take(ctx, p.requests, concurrency); err != nil {
			return m, err
		}
	}
	for took := time.Duration(0); len(m.ratios) == 0 || time.Now().Add(took).Before(end); {
		start := time.Now()
		r, err := p.round(ctx, all, len(m.ratios), concurrency)
		if err != nil {
			return m, err
		}
		took = time.Since(start)
		m.ratios = append(m.ratios, r[ours].rate()/r[haproxy].rate())
		m.controls = append(m.controls, r[control].rate()/r[haproxy].rate())
		m.haproxy, m.ours, m.control = m.haproxy.plus(r[haproxy]), m.ours.plus(r[ours]), m.control.plus(r[control])
	}
	return m, nil
}

// round gives everybody two turns, there and back; who begins goes round.
func (p plan) round(ctx context.Context, all contenders, number, concurrency int) (sums [3]turn, err error) {
	a, b, c := number%3, (number+1)%3, (number+2)%3
	for _, who := range []int{a, b, c, c, b, a} {
		t, err := all[who].take(ctx, p.requests, concurrency)
		if err != nil {
			return sums, err
		}
		sums[who] = sums[who].plus(t)
	}
	return sums, nil
}

// print prints how fast each was, and then each ratio in a line of its own.
func (m measurement) print(out io.Writer) error {
	_, err := fmt.Fprintf(out, "%d in flight, %d rounds: hopblame %s, haproxy %s, second haproxy %s\n"+
		"ratio %s hopblame/haproxy, %d in flight\n"+
		"ratio %s haproxy/haproxy, %d in flight: the control\n",
		m.concurrency, len(m.ratios), m.ours, m.haproxy, m.control,
		spread(m.ratios), m.concurrency, spread(m.controls), m.concurrency)
	return err
}

// spread is the median of ratios and their extremes.
func spread(ratios []float64) string {
	s := slices.Sorted(slices.Values(ratios))
	median := (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	return fmt.Sprintf("%.2f [%.2f–%.2f]", median, s[0], s[len(s)-1])
}
