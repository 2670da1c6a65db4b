package scenarios

import (
	"reflect"
	"strings"
)

// Sample returns those of some scenarios that ask something of the machine which none
// before them does, in their order: what to play where all would take too long, as once
// more without root or under the race detector. It grows with the catalogue.
func Sample(all []*Scenario) (some []*Scenario) {
	known := map[string]bool{}
	for _, s := range all {
		news := false
		for _, kind := range s.kinds() {
			news, known[kind] = news || !known[kind], true
		}
		if news {
			some = append(some, s)
		}
	}
	return some
}

// kinds names what a scenario asks of the machine: what a fault does to packets, and where;
// whose deeds there are; what a firewall keeps count of; how the f5 and the client speak;
// whether captures are spoiled. Which deed of an actor's it is says nothing new, for all
// are its own sockets'.
func (s *Scenario) kinds() (list []string) {
	for i := range s.Faults {
		f := &s.Faults[i]
		place := f.At
		switch {
		case f.IsLink():
			place = "link"
		case strings.HasPrefix(place, "server"):
			place = "server"
		}
		if f.Acts() {
			list = append(list, "deed of "+place)
		} else {
			list = append(list, strings.Join([]string{string(f.Do), string(f.Match), string(f.Per), place}, " "))
		}
	}
	keeps := reflect.ValueOf(s.Firewall)
	for i := range keeps.NumField() {
		if !keeps.Field(i).IsZero() {
			list = append(list, "firewall "+keeps.Type().Field(i).Name)
		}
	}
	if len(s.Observe.Faults) > 0 {
		list = append(list, "observer")
	}
	return append(list, "f5 "+string(s.F5.VirtualServer.Type), "client "+string(s.Traffic.Protocol))
}
