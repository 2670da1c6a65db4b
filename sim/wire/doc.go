// Package wire does to packets what the kernel cannot: it delays, reorders, duplicates,
// damages and rewrites them, and forges RSTs.
//
// A rule of nftables takes a packet off its way and logs all of it; a [Wire] is given it
// and puts it back by itself, in the shape and at the time that its [Deed] says. What no
// rule takes goes through the kernel as ever. Rule, set and counter are those of a fault
// that drops packets, so that plan, ledger and counter are the same for both; what a wire
// has put back it counts itself.
//
//	wire.go        a Wire: takes, holds, sends, counts
//	link.go        puts packets back on a link, in its middle
//	router.go      puts packets back on their way at a router
//	delay.go       they go on late
//	reorder.go     they go on behind the next one
//	duplicate.go   they go on twice
//	corrupt.go     they go on with a bit turned over
//	rewrite.go     they go on with another TTL, MSS, sequence number or time stamp
//	inject.go      a forged RST goes ahead of them
package wire
