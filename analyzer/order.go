package analyzer

import "fmt"

// orderNoise is more than timestamps of one machine are ever out of order, and
// than what rounding to microseconds adds.
const orderNoise = 20_000 // ns

// fewOrdered is how many connections must contradict an order: one or two may be
// taken for what they are not, when a first SYN was not captured, or twice.
const fewOrdered = 5

// wayNoise is what a round trip between two points may be wrong by: its four times
// are rounded to the grain of their captures.
func wayNoise(p, q *survey) int64 { return orderNoise + 2*p.tick() + 2*q.tick() }

// checkOrder finds points that are not in path order. However the clocks stand:
// if p comes before q, a SYN takes its time from p to q and the SYN-ACK takes its
// own from q to p, and the two times add up to more than nothing. In the sum the
// clocks' offset is gone.
//
//	p ──SYN──▶ q        (SYN at q − SYN at p) + (SYN-ACK at p − SYN-ACK at q) ≥ 0
//	p ◀─SYN-ACK─ q
func checkOrder(surveys []*survey) error {
	for p := range surveys {
		for q := p + 1; q < len(surveys); q++ {
			forward, backward := 0, 0
			var sum int64
			shared(surveys[p], surveys[q], func(x, y *handshake) {
				if !once(x) || !once(y) {
					return
				}
				way := roundTrip(x, y)
				sum += way
				switch {
				case way > 0:
					forward++
				case way < 0:
					backward++
				}
			})
			all := forward + backward
			noise := wayNoise(surveys[p], surveys[q])
			if all >= fewOrdered && backward > 4*forward && (-sum > noise*int64(all) || all >= 20 && noise < disorder) {
				a, b := surveys[p].point.Name, surveys[q].point.Name
				return &InputError{Kind: ErrMalformed, File: "points",
					What: fmt.Sprintf("%s comes before %s, but in %d of %d connections the SYN was at %s first and the SYN-ACK last", a, b, backward, all, b),
					Fix:  "give the points in path order, client end first, or swap the two files"}
			}
		}
	}
	return nil
}

func twice(a, b string) string {
	if a == "" || b == "" {
		return " twice"
	}
	return " for " + a + " and for " + b
}

// checkFiles finds one capture given for two points, or twice for one.
func checkFiles(points []Point, sources [][]source) error {
	for i := range sources {
		for k := range sources[i] {
			c := &sources[i][k]
			for j := range i + 1 {
				before := sources[j]
				if j == i {
					before = before[:k]
				}
				for n := range before {
					if d := &before[n]; d.Interface != c.Interface || !c.same(&d.Capture) {
						continue
					}
					what := "is given" + twice(points[j].Name, points[i].Name)
					if j == i {
						what = "is given twice for " + points[i].Name
					}
					return &InputError{Kind: ErrMalformed, File: c.File, What: what,
						Fix: "give each point its own capture, or its own interface as FILE#INTERFACE"}
				}
			}
		}
	}
	return nil
}
