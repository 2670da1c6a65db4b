// Package annotate makes one capture of all: every frame of every point in the order of
// time, on an interface named after the point, with the analyzer's words as comments on the
// frames that it cites. [Profile] writes a Wireshark profile to read it with.
//
// Clocks are corrected by what the analysis found out about them, so time stamps are those
// of the first point's clock. The frames of one point stay in the order of its files, as
// with mergecap; comments that they had are not kept.
//
// The rule that bites: nothing is held but what is being written, however many frames there
// are; only the citations are in memory.
//
//	merge             frames of all points, in order of time
//	comments          what is said of which frame
//	profile, profile/ columns, colours and filter buttons
package annotate
