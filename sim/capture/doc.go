// Package capture taps the lab's interfaces into pcapng files, one file a point.
//
// A tap is a TPACKET_V3 ring (Documentation/networking/packet_mmap.rst): the
// kernel writes frames with its own nanosecond timestamps into memory shared with
// us, and counts what it had to drop. One thread reads all rings of a lab.
//
//	client/eth0 ▪───▪ f5/0.0 ▪───▪ firewall ▪───▪ …
//	                both faces,   feth11 feth10
//	                one file
//
// The f5's point is like interface 0.0 on the box: frames of both faces in one
// file, merged by time, tagged with the VLAN of their side, each with an Ethernet
// trailer. Where the trailer comes from this package does not know; it is given a
// function.
//
// A capture that lost a packet proves nothing about a network: [Point.Dropped]
// above zero makes a run INVALID.
package capture
