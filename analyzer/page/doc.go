// Package page writes the result of an analysis as one HTML file, report.html.
//
// The answer comes first: who is at fault, how many requests, how sure. Then where on the
// path, when, why nothing else explains it, packet by packet, and every failed request. The
// file needs nothing else: no network, no font, no second file. A Content-Security-Policy
// forbids all that is not in it, and it can be read without its script, which only searches
// the table and copies filters.
//
// The rule that bites: a trainee gets the page. It shows what the analyzer found in the
// captures and nothing that only the testbed knows.
//
//	page                 what is on the page, and the file around it
//	answer               the sentence at its head
//	topology, timeline   pictures of where and when; picture draws the former
//	groups               failed requests that are alike, one of them in full
//	table                all failed requests
//	words, words_…       everything the page says, by language
package page
