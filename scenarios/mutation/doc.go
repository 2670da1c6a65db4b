// Package mutation asks what the catalogue is worth: it makes deliberate defects in the
// analyzer's source, one at a time, and sees whether any scenario notices. What none
// notices shows a scenario that is missing.
//
//	mutant.go       a defect: a piece of source, and what stands there instead
//	defects….go     the list of them
//	build.go        the analyzer with a defect, built over an overlay: the tree stays as it is
//	record.go       the catalogue, played once for all of them
//	trial.go        each defect against all recordings
//	harm.go         what it does worse than the original
//	table.go        the score, and what survived
//	verdicts/       the program that is built: it prints the verdicts on a folder of captures
//
// make mutate runs it. The list cannot rot: an ordinary test sees that each piece of
// source is there, once, and that the analyzer compiles with what stands in its place.
package mutation
