// Package train makes exercises of scenarios, for people who are to find the hop at fault
// themselves.
//
//	choose ─▶ start ─▶ ticket, captures, sealed solution
//	                     └─▶ hint … answer … reveal, counted in progress.json
//
// An exercise directory holds ticket.txt in the customer's words, the captures of every hop
// as they were taken, exercise.json, and solution.sealed, which no eye falls on by chance:
// it is encrypted with a key that this program knows. That keeps honest people honest. Who
// wants to cheat can, as with any answers at the back of a book.
//
// What proves an answer is what the analyzer cites, in a run of which the testbed knows that
// the analyzer is right about every request, and every repetition of that at the same point.
//
// All that a trainee reads is in words/, a folder a language, and in the scenarios of the
// catalogue. An exercise keeps the language that it was started in. What the analyzer says
// of a request is in English in all of them.
package train
