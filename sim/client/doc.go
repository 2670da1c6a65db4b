// Package client sends the batch: N POSTs, C at a time, one connection each, from
// one address whose source ports come round again within 100,000 requests.
//
// Every request has an ordinal. Its source port, its id and its body derive from
// it, and its outcome is recorded under it; which request fails is therefore the
// same whatever the order in which they are sent.
package client
