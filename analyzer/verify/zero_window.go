package verify

import "github.com/hopblame/hopblame/analyzer"

// shutAtServer tells whether a server, at the only point of between, says twice that its
// window is zero, and acknowledges nothing more the second time.
func (t *trial) shutAtServer() bool {
	if t.v.Direction != analyzer.ToClient || len(t.v.Between) != 1 || t.c.points[t.v.Between[0]].hop != t.v.Hop {
		return false
	}
	shut := t.frames(t.v.Between[0], func(x *Frame) bool {
		return x.has(flagACK, flagSYN|flagRST) && x.tcp[0].window == 0 && !x.tcp[0].quoted
	})
	for _, first := range shut {
		for _, again := range shut {
			if again.Frame > first.Frame && again.frame.flow() == first.frame.flow() && again.frame.tcp[0].ack == first.frame.tcp[0].ack {
				return true
			}
		}
	}
	return false
}
