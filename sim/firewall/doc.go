// Package firewall is the forwarding hop where it is a stateful one: a table of TCP
// sessions, with a size, timeouts and a rate of new ones, that refuses what does not
// fit in with it.
//
//	config.go     what a scenario sets, and what a firewall ships with
//	refusal.go    what is dropped, and why
//	firewall.go   the table at work; its ledger
//
// The table is the kernel's: sets of nftables that the packets themselves fill and
// empty (internal/nft). What it drops is caused by its state and planned by nobody;
// the ledger has each packet all the same, and the kernel's counter its number.
package firewall
