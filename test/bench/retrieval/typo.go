package main

import (
	"context"
	"math/rand/v2"
	"strings"

	"github.com/weir-dev/weir/pkg/dataset"
)

const (
	// longWord is from how many letters a word may get a typing error, and
	// typoEvery the number of such words of which one does.
	longWord  = 5
	typoEvery = 3
	// typoRounds is how often the questions are mistyped, differently each time.
	typoRounds = 4
)

// typos measures what is left of R@1 when the questions are mistyped.
func (b *bench) typos(ctx context.Context, set dataset.Set) error {
	chance := rand.New(rand.NewPCG(1, 2)) // the same errors in every run
	mistyped := set
	mistyped.Questions = nil
	for range typoRounds {
		for _, q := range set.Questions {
			q.Text = mistype(q.Text, chance)
			mistyped.Questions = append(mistyped.Questions, q)
		}
	}
	found, err := ask(ctx, b.store, b.encoder, mistyped)
	if err != nil {
		return err
	}
	var with quality
	for _, a := range found {
		with.add(a.hits, set.Gold[a.question.ID])
	}
	b.found["typos.r1"] = with.r1 / with.questions
	b.found["typos.kept"] = b.found["typos.r1"] / b.found[set.Name+".r1"]
	return nil
}

// mistype makes one error in about one long word of three: a letter is left
// out, two are swapped, one is replaced, or one is added, never at its ends.
func mistype(text string, chance *rand.Rand) string {
	words := strings.Fields(text)
	for i, word := range words {
		letters := []rune(word)
		if len(letters) < longWord || chance.IntN(typoEvery) != 0 {
			continue
		}
		at := 1 + chance.IntN(len(letters)-2)
		other := 'a' + rune(chance.IntN(26))
		switch chance.IntN(4) {
		case 0:
			letters = append(letters[:at], letters[at+1:]...)
		case 1:
			letters[at], letters[at+1] = letters[at+1], letters[at]
		case 2:
			letters[at] = other
		case 3:
			letters = append(letters[:at], append([]rune{other}, letters[at:]...)...)
		}
		words[i] = string(letters)
	}
	return strings.Join(words, " ")
}
