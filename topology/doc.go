// Package topology builds the wiring: a [Spec] — plain data — becomes a [Lab] of
// live Linux network namespaces, joined by veth pairs and bridges.
//
//	client ──── f5 ──── firewall ──── switch ──┬── server1
//	                                           └── server2
//
// A lab has no name on the machine. Its namespaces are anonymous, held open by
// file descriptors, so that they end with the process whatever ends it; labs
// built in parallel never meet; the process itself stays in the namespace it was
// started in. No helper binary is called: links, addresses, routes, neighbours
// and offloads go through netlink, settings through /proc/sys.
//
// The rule that bites: without root there is no way back from a namespace
// (setns(2) into the host's wants CAP_SYS_ADMIN in the user namespace that owns
// it). So each [Host] owns one operating-system thread that enters its namespace
// once and never leaves, and everything done in a namespace — sockets, netlink
// handles, nftables, child processes — is done by [Host.Run] on that thread.
// Options of libraries that "enter, then restore" (NetNS:, NewHandleAt) must not
// be used. A socket keeps the namespace it was created in and may then be used
// from any goroutine.
//
// [Sandbox] is what makes all this possible for an unprivileged user: it starts
// the program again inside user, PID and mount namespaces of its own. A program
// calls it first thing; a test binary calls [Main] from TestMain.
package topology
