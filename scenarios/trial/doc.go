// Package trial puts analyzers on trial: any program in any language that writes the
// shape of verdicts.json, against runs whose truth is known.
//
//	verdicts.go      reads what an analyzer says
//	names.go         what it calls hops, in our words
//	card.go          the score card: who was taken for whom, precision, recall
//	draw.go          how the requests went that it errs about
//	calibration.go   whether it knows how certain it is
//	command.go       runs a program on a folder of captures
//	trial.go         plays the catalogue to it
//	corpus.go        or puts recorded captures before it, which need no namespaces
//	shrink.go        the fewest requests and faults on which an analyzer still errs
//	compare.go       what got better or worse since
//	shard.go         a part of the catalogue, for one job of several
//	merge.go         the parts' results, put together
//	junit.go         the result as CI servers read it
//
// An analyzer on trial is given a folder with captures and points.json. Neither the truth
// nor the scenario nor our own verdicts are on any disk while it runs.
package trial
