package sim

import (
	"github.com/hopblame/hopblame/sim/bigip"
	"github.com/hopblame/hopblame/sim/capture"
	"github.com/hopblame/hopblame/topology"
)

// Points names the points at which a lab is captured, "hop/face", in path order.
func Points() []string {
	return []string{topology.Client + "/" + topology.ClientFace, topology.F5 + "/" + proxyFace,
		topology.Firewall + "/" + topology.Upstream, topology.Firewall + "/" + topology.Downstream,
		topology.Server1 + "/" + topology.ServerFace, topology.Server2 + "/" + topology.ServerFace}
}

// proxyFace is what tcpdump calls all interfaces of a BIG-IP.
const proxyFace = "0.0"

// points are where the lab is captured: at every face, the f5's in one file. Their
// names are those of [Points].
func (r *run) points() []capture.Point {
	spec := r.lab.Spec()
	tap := func(node, face string, vlan uint16) capture.Tap {
		n, _ := spec.Node(node)
		i, _ := n.Interface(face)
		return capture.Tap{Host: r.lab.Host(node), Interface: face, Addresses: i.Addresses, VLAN: vlan, Resolved: r.resolvedAt(node, face)}
	}
	one := func(node, face string, side capture.Side) capture.Point {
		return capture.Point{Hop: node, Face: face, Side: side, Taps: []capture.Tap{tap(node, face, 0)}}
	}
	proxy := capture.Point{Hop: topology.F5, Face: proxyFace, Side: capture.Both,
		Taps: []capture.Tap{tap(topology.F5, topology.External, 0), tap(topology.F5, topology.Internal, 0)}}
	if r.facts.Config.detours() {
		proxy.Taps = append(proxy.Taps, tap(topology.F5, topology.Servers, 0))
	}
	if r.own != nil { // tags and trailers are a BIG-IP's
		for i, vlan := range []uint16{bigip.ClientsideVLAN, bigip.ServersideVLAN, bigip.ServersVLAN}[:len(proxy.Taps)] {
			proxy.Taps[i].VLAN = vlan
		}
		table := r.own.Table()
		proxy.FirstFrame, proxy.AppendTrailer = table.FileInfo(), table.AppendTrailer
		proxy.Take, proxy.Filter = table.Takes, table.Filter()
	}
	return []capture.Point{
		one(topology.Client, topology.ClientFace, capture.Clientside),
		proxy,
		one(topology.Firewall, topology.Upstream, capture.Serverside),
		one(topology.Firewall, topology.Downstream, capture.Serverside),
		one(topology.Server1, topology.ServerFace, capture.Serverside),
		one(topology.Server2, topology.ServerFace, capture.Serverside),
	}
}
