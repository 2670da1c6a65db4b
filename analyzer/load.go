package analyzer

import "net/netip"

// listenerLog is what a point remembers of the connections to its servers that
// took long, for telling a full listen queue from a deaf server.
type listenerLog struct {
	answers  map[endpoint][]int64 // times at which SYN-ACKs left, thinned out
	unserved map[endpoint][]stay
}

// stay is how long a connection was open without a response.
type stay struct{ from, to int64 }

const (
	answerGrain = int64(10e6) // one answer in 10 ms is enough to show that a listener answers
	maxStays    = 1 << 12
	minStay     = int64(500e6) // shorter ones are being served
)

func (l *listenerLog) answered(e endpoint, t int64) {
	if l.answers == nil {
		l.answers, l.unserved = map[endpoint][]int64{}, map[endpoint][]stay{}
	}
	a := l.answers[e]
	if n := len(a); n == 0 || t-a[n-1] > answerGrain {
		l.answers[e] = append(a, t)
	}
}

func (l *listenerLog) stayed(e endpoint, from, to int64) {
	if to-from >= minStay && len(l.unserved[e]) < maxStays && l.unserved != nil {
		l.unserved[e] = append(l.unserved[e], stay{from, to})
	}
}

// loadOf returns what a listener did in a stretch of time.
func (s *survey) loadOf(server netip.AddrPort, from, to int64) (out load) {
	id, ok := s.names.find(server.Addr())
	if !ok {
		return out
	}
	e := endpoint{id, server.Port()}
	for _, t := range s.listeners.answers[e] {
		if t >= from && t <= to {
			out.answered++
		}
	}
	for _, x := range s.listeners.unserved[e] {
		if x.from <= from && x.to >= to {
			out.unserved++
		}
	}
	return out
}
