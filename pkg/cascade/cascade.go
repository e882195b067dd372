// Package cascade decides which model answers a job: it turns what is known of an
// answer (signals) into one calibrated probability that the answer is acceptable,
// compares that with the threshold of the policy table, and names the next step.
// It is pure: no I/O, no clock, no randomness. See docs/cascade.md.
package cascade

// Features are named numbers about a question or an answer. What is not known is
// left out, which is not the same as 0.
//
// Names of the question's features begin with "q_". Paid signals are named after
// themselves: agree, judge.
type Features map[string]float64

// The features of an answer that cost a call of their own.
const (
	Agree = "agree" // share of further samples, or of a second model, with the same answer
	Judge = "judge" // probability that a judge gives the answer
)

// Evidence is what is known of one answer of one model to one question.
type Evidence struct {
	Task     string
	Question string // as the user asked it
	Features Features
}
