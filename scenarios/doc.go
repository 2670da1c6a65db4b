// Package scenarios names failures. A [Scenario] is one YAML file that reads like
// a story: what the customer sees, what is broken, what the right answer is and
// what it teaches.
//
//	load ─▶ run (sim) ─▶ truth ───────────────────────────────┐
//	           └─▶ captures ─▶ observe ─▶ analyzer ─▶ verdicts ─▶ score
//
// It is the only place where truth and verdicts meet: sim reports facts, this
// package turns them into truth and compares. The analyzer is handed the captures
// and nothing else.
//
// Scenarios of one [Scenario.Class] are twins: they look the same to the client and in the
// f5's RST cause, and each has another answer.
//
// Faults of the observer ([Observe]) take from the captures once the run has been checked,
// and the whole ones go to the truth.
//
// A run directory can be opened again as a [Recording], and be repeated without one of
// its faults ([Recording.Replay]). [Schema] is the format, for editors; a key is explained
// in schema_keys.go, and its words are listed in schema.go.
package scenarios
