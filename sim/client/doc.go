// Package client sends the batch: N POSTs, C in flight, from one address whose source
// ports come round again within 100,000 requests. In the clear each has a connection of
// its own and an event loop does the work; over TLS and HTTP/2 several in a row share
// one, and goroutines with [net/http] do.
//
// Every request has an ordinal. Its source port, its id and its body derive from
// it, and its outcome is recorded under it; which request fails is therefore the
// same whatever the order in which they are sent. A connection that is shared has the
// port of its first request.
//
// A client can misbehave, too: see the words of [fault.Do]. It does so to one request,
// on a connection of its own, whatever the protocol.
package client
