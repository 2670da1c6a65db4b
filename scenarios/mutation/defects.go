package mutation

import "slices"

// Mutants is the list of defects.
var Mutants = slices.Concat(handshake, open, proxied, requested, captured)
