package llmsim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// Values of a Difficulty's fields that are zero.
const (
	defaultSlope = 8
	defaultAUROC = 0.85
)

// The mean log probability per token of an answer is normal: around rightMean
// for right answers, around rightMean less a shift for wrong ones.
const (
	rightMean  = -0.15
	rightSigma = 0.1
	wrongSigma = 0.25
	// logprobKnee is where the normal values bend so as to stay below zero.
	logprobKnee = -0.02
)

// Difficulty makes models err as a cascade of real models does. A question has
// a difficulty d in [0,1) and a luck u in [0,1), both hashes of its words and
// the same for all models; a model with skill s answers it rightly if and only
// if u < 1/(1+exp(-Slope·(s-d))). So whatever a model knows a more skilled one
// knows too. The log probabilities of right answers are higher, as far apart
// as AUROC says.
type Difficulty struct {
	// Skill of the models by id, usually 0 to 1; a model that is left out never
	// errs.
	Skill map[string]float64
	// Slope is how sharply a model's chance falls with difficulty; 0 is 8.
	Slope float64
	// AUROC is the chance that a right answer has a higher mean log probability
	// than a wrong one, at least 0.5 and below 1; 0 is 0.85.
	AUROC float64
}

// validate names a field with a wrong value.
func (d *Difficulty) validate() error {
	for model, skill := range d.Skill {
		if math.IsNaN(skill) || math.IsInf(skill, 0) {
			return fmt.Errorf("llmsim config: Answers.Difficulty.Skill[%s] is %v, want a finite number", model, skill)
		}
	}
	if !(d.Slope >= 0) || math.IsInf(d.Slope, 0) {
		return fmt.Errorf("llmsim config: Answers.Difficulty.Slope is %v, want a finite number of at least 0 (0 is %d)", d.Slope, defaultSlope)
	}
	if d.AUROC != 0 && !(d.AUROC >= 0.5 && d.AUROC < 1) {
		return fmt.Errorf("llmsim config: Answers.Difficulty.AUROC is %v, want at least 0.5 and below 1 (0 is %v)", d.AUROC, defaultAUROC)
	}
	return nil
}

// slope returns Slope or its default.
func (d *Difficulty) slope() float64 {
	if d.Slope == 0 {
		return defaultSlope
	}
	return d.Slope
}

// Chance returns the probability that model answers a question of the given
// difficulty rightly.
func (d *Difficulty) Chance(model string, difficulty float64) float64 {
	skill, ok := d.Skill[model]
	if !ok {
		return 1
	}
	return 1 / (1 + math.Exp(-d.slope()*(skill-difficulty)))
}

// Accuracy returns the share of questions model answers rightly when their
// difficulties are uniform on [0,1): the integral of Chance, which is
// (ln(1+e^(k·s)) - ln(1+e^(k·(s-1))))/k for skill s and slope k.
func (d *Difficulty) Accuracy(model string) float64 {
	skill, ok := d.Skill[model]
	if !ok {
		return 1
	}
	k := d.slope()
	return (math.Log1p(math.Exp(k*skill)) - math.Log1p(math.Exp(k*(skill-1)))) / k
}

// Shift returns how far the mean log probability of wrong answers lies below
// that of right ones. For two normal variables AUROC = Φ(shift/√(σ²+τ²))
// (Green and Swets, Signal Detection Theory, 1966), so
// shift = √(σ²+τ²)·Φ⁻¹(AUROC), with Φ⁻¹(p) = √2·erf⁻¹(2p-1).
func (d *Difficulty) Shift() float64 {
	auroc := d.AUROC
	if auroc == 0 {
		auroc = defaultAUROC
	}
	return math.Hypot(rightSigma, wrongSigma) * math.Sqrt2 * math.Erfinv(2*auroc-1)
}

// meanLogprob draws the mean log probability per token of an answer. Normal
// values above the knee are bent to stay below zero; the bend keeps their
// order and therefore the AUROC.
func (d *Difficulty) meanLogprob(right bool, rnd *rand.Rand) float64 {
	x := rightMean + rightSigma*rnd.NormFloat64()
	if !right {
		x = rightMean - d.Shift() + wrongSigma*rnd.NormFloat64()
	}
	if x > logprobKnee {
		x = logprobKnee * math.Exp((x-logprobKnee)/logprobKnee)
	}
	return x
}

// knows reports whether model answers the question rightly. The sample sets
// repeated draws of one question apart; "" is the first.
func (k *knowledge) knows(model, question, sample string) bool {
	if k.difficulty == nil {
		return true
	}
	normal := normalQuestion(question)
	d := k.random("difficulty", normal).Float64()
	if gold, ok := k.gold[normal]; ok && gold.Difficulty != nil {
		d = *gold.Difficulty
	}
	return k.random("luck", normal, sample).Float64() < k.difficulty.Chance(model, d)
}

// random returns a source of numbers that depend on the server's seed and the
// parts alone.
func (k *knowledge) random(parts ...string) *rand.Rand {
	h := mix(k.seed)
	for _, p := range parts {
		h = hashBytes(h, []byte(strconv.Itoa(len(p))+":"+p))
	}
	return rand.New(rand.NewPCG(h, mix(h)))
}
