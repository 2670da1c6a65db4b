// Package ports is the range of source ports that the client and the f5's SNAT
// take: few enough that 100,000 connections from one address use each of them
// again within seconds, as in the incident.
package ports

// The range is Linux's default (net.ipv4.ip_local_port_range, 32768–60999), less
// one so that a port that comes round goes to the same pool member, less the
// ports that Wireshark takes for another protocol: it would call the batch's HTTP
// malformed.
const (
	first = 32768
	last  = 60998
)

var taken = [...]uint16{34980 /* EtherCAT */, 44321 /* PCP */, 44322, /* pmproxy */
	44818 /* EtherNet/IP */, 48049 /* CBSP */, 48898 /* AMS */, 57000 /* IRC */}

// Count is how many ports there are.
const Count = last - first + 1 - len(taken)

// At returns the port of an index; indexes beyond Count come round.
func At(i int) uint16 {
	p := uint16(first + i%Count)
	for _, t := range taken {
		if p >= t {
			p++
		}
	}
	return p
}

// Index returns the index of a port. Ports outside the range, which only
// somebody else's client uses, share indexes with those in it.
func Index(port uint16) int {
	i := int(port) - first
	for _, t := range taken {
		if port > t {
			i--
		}
	}
	return ((i % Count) + Count) % Count
}
