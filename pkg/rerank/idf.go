package rerank

const (
	// unseen is the least IDF of a term that no candidate has: of one that at
	// most one of some 600 passages has.
	unseen = 6
	// common is the IDF that a term of all candidates is guessed to have.
	common = 2
	// trust is how strongly the guess from the candidates alone holds against
	// the scores.
	trust = 0.02
	// rounds of the solution; it no longer moves after 30.
	rounds = 50
)

// weigh finds how rare the question's terms are in the collection. The store
// does not say, but its scores do: each is the sum of IDF times weight over the
// question's terms, and the weights can be computed from the texts. So the IDFs
// solve a system of linear equations, one per candidate, which is solved by
// least squares held to a guess: the more candidates have a term the commoner it
// is; one that none of them has is rare.
func (x *Reading) weigh() {
	x.idf = make([]float64, len(x.question.terms))
	n := float64(len(x.passages))
	seen := make([]float64, len(x.idf))
	for _, p := range x.passages {
		for t := range seen {
			if p.found&(1<<t) != 0 {
				seen[t]++
			}
		}
	}
	guess := make([]float64, len(x.idf))
	for t, df := range seen {
		guess[t] = unseen - (unseen-common)*df/n
	}
	copy(x.idf, guess)
	x.solve(guess, seen)
	highest := 0.0
	for t := range x.idf {
		highest = max(highest, x.idf[t])
	}
	for t, df := range seen {
		if df == 0 {
			x.idf[t] = max(unseen, highest)
		}
		x.total += x.idf[t]
	}
}

// solve is coordinate descent on the squared errors of the scores, IDFs kept
// positive.
func (x *Reading) solve(guess, seen []float64) {
	var errs []float64 // of the candidates with a score
	var rows [][]float64
	for i, p := range x.passages {
		if x.candidates[i].BM25 > 0 {
			rows = append(rows, p.weights)
			errs = append(errs, x.candidates[i].BM25-dot(p.weights, x.idf))
		}
	}
	if len(rows) == 0 {
		return
	}
	for range rounds {
		for t := range x.idf {
			if seen[t] == 0 {
				continue
			}
			up, down := trust*(guess[t]-x.idf[t]), trust
			for i, row := range rows {
				up += row[t] * errs[i]
				down += row[t] * row[t]
			}
			step := max(up/down, 0.01-x.idf[t])
			x.idf[t] += step
			for i, row := range rows {
				errs[i] -= step * row[t]
			}
		}
	}
}

// share is the part of the question's weight that is in found.
func (x *Reading) share(found terms) float64 {
	if x.total == 0 {
		return 0
	}
	sum := 0.0
	for t, idf := range x.idf {
		if found&(1<<t) != 0 {
			sum += idf
		}
	}
	return sum / x.total
}
