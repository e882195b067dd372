package cascade

import (
	"fmt"
	"time"
)

// Candidate is a model that may answer a job, in the order of the chain.
type Candidate struct {
	Model string
	// Fallback is only asked when a model before it can't be had: it is no better
	// than those that gave an answer.
	Fallback bool
	// Blocked says why it can't take the job now, "" if it can; Until is when it
	// may, zero if it never will.
	Blocked string
	Until   time.Time
}

// Try is what came of one model.
type Try struct {
	Model string
	// Unavailable: there is no answer. Else there is one that was not accepted:
	// Usable if it passed all hard gates, acceptable with probability P.
	Unavailable bool
	Usable      bool
	P           float64
}

// State is all that a decision depends on.
type State struct {
	Candidates []Candidate
	Tried      []Try
	// Explicit: the job names its model, so an answer that fails its checks is not
	// given to another one to do better.
	Explicit bool
	// CallsLeft is how many model calls the job may still make.
	CallsLeft int
	// BestEffort gives the best usable answer when nothing is left to try.
	BestEffort bool
	// Parallel: two candidates began at once, so one before that which gave an answer
	// may be asked.
	Parallel bool
	// Again: what was tried in vain may be back, so that waiting for it is worth it.
	Again bool
}

// Action is the next step of a job.
type Action int

// The actions.
const (
	// Call asks Decision.Model.
	Call Action = iota
	// Wait asks Decision.Model as well, which can't be had now: the job waits for it.
	Wait
	// Give ends the job with the answer of State.Tried[Decision.Best].
	Give
	// Exhausted ends the job without an answer that was accepted.
	Exhausted
)

// Decision is the next step and why.
type Decision struct {
	Action Action
	Model  string
	// Fallback says that another candidate can take over when the model can't be
	// had.
	Fallback bool
	// Best is the index of the best answer, of Give.
	Best int
	// Reason says in a few words why.
	Reason string
}

// Decide names the next step of a job: the next candidate, in order, that can be
// asked; with none, the one that is back first; with none of those, the best
// answer so far if the policy wants that. A candidate before one that gave an
// answer is not asked any more. It depends on nothing but s.
func Decide(s State) Decision {
	left := s.left()
	if len(left) > 0 && s.CallsLeft < 1 {
		return s.end("the job's calls are used up")
	}
	for i, c := range left {
		if c.Blocked == "" {
			return Decision{Action: Call, Model: c.Model, Fallback: s.another(c.Model, left[i+1:]), Reason: "first that can be asked"}
		}
	}
	if soonest, ok := first(left); ok {
		return Decision{Action: Wait, Model: soonest.Model, Reason: soonest.Blocked}
	}
	if s.Again && s.CallsLeft > 0 && !s.answered() {
		if soonest, ok := first(s.Candidates); ok {
			return Decision{Action: Wait, Model: soonest.Model, Reason: "all were tried; it may be back first"}
		}
	}
	if len(left) > 0 {
		return s.end(fmt.Sprintf("%s: %s", left[0].Model, left[0].Blocked))
	}
	return s.end("no candidate is left")
}

// left are the candidates that were not passed: behind the last model that gave an
// answer, without those tried, and without fallbacks unless a model that they stand
// in for could not be had.
func (s *State) left() []Candidate {
	answered, missing := -1, false
	for i, c := range s.Candidates {
		try, tried := s.tried(c.Model)
		switch {
		case tried && !try.Unavailable:
			answered, missing = i, false
		case tried || c.Blocked != "":
			missing = missing || !c.Fallback
		}
	}
	if answered >= 0 && s.Explicit {
		return nil
	}
	if s.Parallel {
		answered = -1
	}
	var out []Candidate
	for i, c := range s.Candidates {
		if _, tried := s.tried(c.Model); !tried && i > answered && (!c.Fallback || missing) {
			out = append(out, c)
		}
	}
	return out
}

func (s *State) tried(model string) (Try, bool) {
	for _, t := range s.Tried {
		if t.Model == model {
			return t, true
		}
	}
	return Try{}, false
}

func (s *State) answered() bool {
	for _, t := range s.Tried {
		if !t.Unavailable {
			return true
		}
	}
	return false
}

// another reports whether one of the candidates can be asked, or may be later, or
// stands in where one can't be had.
func (s *State) another(asked string, rest []Candidate) bool {
	for _, c := range rest {
		if c.Blocked == "" {
			return true
		}
	}
	for _, c := range s.Candidates {
		if _, tried := s.tried(c.Model); c.Fallback && !tried && c.Blocked == "" && c.Model != asked {
			return true
		}
	}
	return false
}

// first is the candidate that is back first; one that is not blocked is back.
func first(candidates []Candidate) (Candidate, bool) {
	best, found := Candidate{}, false
	for _, c := range candidates {
		if c.Blocked != "" && c.Until.IsZero() {
			continue
		}
		if !found || c.Until.Before(best.Until) {
			best, found = c, true
		}
	}
	return best, found
}

// end gives the best usable answer, the later one of equals, if the policy wants.
func (s *State) end(reason string) Decision {
	best := -1
	for i, t := range s.Tried {
		if t.Usable && (best < 0 || t.P >= s.Tried[best].P) {
			best = i
		}
	}
	if best >= 0 && s.BestEffort {
		return Decision{Action: Give, Best: best, Reason: reason}
	}
	return Decision{Action: Exhausted, Reason: reason}
}
