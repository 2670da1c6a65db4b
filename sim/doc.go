// Package sim runs the actors in a lab — client, full proxy, firewall, servers —
// breaks it, and reports the facts.
//
//	client ──▶ bigip ──▶ (fault) ──▶ backend
//	   └─────── capture at every face ───┘
//
// It names no culprit: which packets were hit, which flows they belonged to and
// what the client saw are facts; what they add up to is for package scenarios.
// What sim does judge is itself. [Facts.Check] compares plan, ledger, kernel
// counters and captures, and a run in which they disagree is INVALID.
package sim
