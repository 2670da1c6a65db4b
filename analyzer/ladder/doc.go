// Package ladder draws one request over all points of capture: every packet of its
// clientside connection and of its serverside ones, on one time axis, with the frames
// in which each point has it, and with the packet that died drawn where it died.
//
//	    seconds   client       f5      firewall   firewall    server2
//	               eth0        0.0      feth11     feth10      eth0
//	*  0.000300    1354 ────▶ 2705         │          │          │      PSH-ACK 77 B, POST /batch HTTP/1.1
//	   0.000400    1355 ◀──── 2706         │          │          │      ACK
//	*  0.000500      │        2707 ────▶ 1351 ──✗     │          │      SYN, try 1 of 4
//
// [Build] makes the data; [Ladder.Text] and [Ladder.SVG] draw them. Which packet is
// which at the next point, where a point must have seen one and did not, and by how much
// clocks differ is worked out from the request's own packets and the report of the
// analysis.
//
// The rule that bites: a packet is dead only where the next point is known to have been
// listening. Otherwise its fate is unknown, and drawn so.
//
//	request, gather       which connections are meant, and their packets
//	connection            one connection out of all that had its addresses
//	align, clock, order   sightings become rows, on one clock, causes before effects
//	fate, words, fold     what became of a packet, what it is called, what is left out
//	text, grid, svg       the drawing
package ladder
