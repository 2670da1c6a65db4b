// Package f5trailer reads and writes the trailer that tcpdump on an F5 BIG-IP
// puts behind every packet.
//
// A capture taken with `tcpdump -i 0.0:nnn` carries, behind the bytes that were
// on the wire, what the box knew about the packet: whether it came in or went
// out, which TMM handled it, which virtual server it belongs to, the id of its
// flow and of the flow on the other side of the proxy, the addresses of that
// other flow, and — on a RST the box made itself — why. Those are the only facts
// that join the clientside of a full proxy to its serverside without guessing.
//
// The content is three blocks: low (`:n`), medium (`:nn`) and high (`:nnn`).
// They travel in one of two formats: [Legacy], written by TMOS 9.4 to 13, and
// [DPT], written by TMOS 14 and later. The first frame of a capture is not a
// packet but a description of it, see [FileInfo].
//
// [DecodeFrame] finds and decodes the trailer of an Ethernet frame;
// [Trailer.AppendTo] writes one. [PeekFrame] reads only what tells flows apart,
// without allocating.
//
// The rule that bites: the box uses flow ids again at once. An id names a flow
// only together with slot, TMM and time, and flows that answer closed ports
// share one id (observed on TMOS 13.1.0.3).
//
// The layouts follow the behaviour of Wireshark's packet-f5ethtrailer dissector
// (checked against tshark 4.0.17), AskF5 K13637, and a public capture of TMOS
// 13.1.0.3. All integers are big-endian.
package f5trailer
