package trial

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The shape of JUnit's XML as CI servers read it: Jenkins' junit-10.xsd, without what a
// trial does not have.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"` // in seconds
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure"`
		Error   *junitProblem `xml:"error"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes a result as JUnit XML, a test case for each scenario: a failure where
// the analyzer errs, an error where the run is INVALID and judges nobody.
func (r *Result) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: "hopblame trial: " + r.Analyzer}
	total := 0.0
	for i := range r.Runs {
		run := &r.Runs[i]
		c := junitCase{Name: run.Scenario, Class: "hopblame.catalogue", Time: fmt.Sprintf("%.3f", run.Seconds)}
		total += run.Seconds
		suite.Tests++
		switch {
		case !run.Valid:
			suite.Errors++
			c.Error = &junitProblem{"the run is INVALID: " + strings.Join(run.InvalidBecause, "; "), "Repeat: " + run.Repeat + "\n"}
		case run.Broke != "":
			suite.Failures++
			c.Failure = &junitProblem{"the analyzer gave no verdicts: " + run.Broke, "Repeat: " + run.Repeat + "\n"}
		case !run.Score.Passed():
			suite.Failures++
			c.Failure = &junitProblem{run.Score.String(), run.reproaches()}
		}
		suite.Cases = append(suite.Cases, c)
	}
	suite.Time = fmt.Sprintf("%.3f", total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(junitSuites{Suites: []junitSuite{suite}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// reproaches lists what counts against the analyzer, and how to play the run again.
func (r *Run) reproaches() string {
	var text strings.Builder
	for i := range r.Score.Errors {
		text.WriteString(r.Score.Errors[i].String() + "\n")
	}
	text.WriteString("Repeat: " + r.Repeat + "\n")
	return text.String()
}
