// Package serve is the testbed in a browser, for one person and on their own machine: choose
// a scenario, watch it run, read its report, do exercises, take the captures along.
//
//	browser ─▶ guard ─▶ pages ─▶ queue ─▶ scenarios.Run, train.Start
//	                      ▲                    │ steps, counts
//	                      └────── watch ◀──────┘
//
// Pages are made here and whole: they can be read and used without their script, which only
// brings what is new into a page that is open. Nothing is asked of any other server.
//
// The rule that bites: while an exercise is open, nothing that is served tells its answer. It
// has no name but a number, its run is not counted hop by hop, and of its files only those
// are served that a trainee gets.
//
//	server        where it listens, and what it begins and ends with
//	guard         who may ask: nobody from elsewhere, and for nothing but what there is
//	catalogue     the home page, and a scenario with the form that starts it
//	queue         one run at a time, the others wait
//	job           a run or an exercise, from the queue on
//	watch         what is seen of it while it lasts; picture draws it
//	run           what a run came to, and its report
//	exercise      ticket, hints, answers, the whole story
//	downloads     captures, one by one or all in one archive
//	disk          how much is kept, and what goes first
//	pages, words  HTML, and all that it says, a folder a language
package serve
