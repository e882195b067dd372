package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/cascade/learn"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/ground"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/test/internal/figures"
)

// decideText is a worked answer of usual length.
const decideText = `The tank holds 3*4=12 litres. On the first day a third of that is used, which is 12/3=4 litres, so 12-4=8 litres are left.
On the second day half of the rest is used, 8/2=4 litres, and the tank is filled up with 5 litres: 4+5=9.
Therefore, at the end of the second day, there are 9 litres in the tank.
#### 9`

// decide measures the time of a decision about one attempt, without paid signals: its
// features, all gates, the calibrated probability, with trees and without, and the
// next step.
func decide(ctx context.Context) (figures.Figures, string, error) {
	found := figures.Figures{}
	var text strings.Builder
	for _, trees := range []bool{false, true} {
		g, err := decideGate(trees)
		if err != nil {
			return nil, "", err
		}
		in := gate.Answer{Task: "math", Question: "How many litres are in a tank of 12 after two days?", Response: &llm.ChatResponse{
			Text: decideText, FinishReason: "stop", Logprobs: &llm.Logprobs{N: 120, Mean: -0.2, Min: -3, Q10: -0.9}}}
		state := cascade.State{Candidates: []cascade.Candidate{{Model: "small"}, {Model: "medium"}, {Model: "large"}}, CallsLeft: 5, BestEffort: true}
		took := testing.Benchmark(func(b *testing.B) {
			for b.Loop() {
				judged := g.Judge(ctx, in)
				state.Tried = append(state.Tried[:0], cascade.Try{Model: "small", Usable: !judged.Hard, P: judged.P})
				cascade.Decide(state)
			}
		})
		name, kind := "decide_us", "linear"
		if trees {
			name, kind = "decide_trees_us", "trees"
		}
		found[name] = float64(took.NsPerOp()) / float64(time.Microsecond)
		fmt.Fprintf(&text, "decision about an answer of %d bytes, %s: %.1f us\n", len(decideText), kind, found[name])
	}
	return found, text.String(), nil
}

// decideGate has a calibration of the usual kind.
func decideGate(trees bool) (*gate.Gate, error) {
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // labels of no meaning
	rows := make([]learn.Row, 600)
	for i := range rows {
		f := cascade.AnswerFeatures(decideText[:rnd.IntN(len(decideText))])
		f[gate.LogprobMean], f[gate.LogprobMin] = -rnd.ExpFloat64(), -3*rnd.ExpFloat64()
		rows[i] = learn.Row{ID: fmt.Sprint(i), Evidence: cascade.Evidence{Task: "math", Features: f}, OK: float64(rnd.IntN(2)), Weight: 1}
	}
	fitted, err := learn.Fit(rows, learn.Options{Linear: true, Trees: trees})
	if err != nil {
		return nil, fmt.Errorf("fitting: %w", err)
	}
	data, err := json.Marshal(fitted)
	if err != nil {
		return nil, fmt.Errorf("encoding the calibration: %w", err)
	}
	return gate.New(&event.Gates{Complete: true, Verify: []string{event.VerifyFinalAnswer, event.VerifyArithmetic}, Tau: 0.8, Calibration: data}, ground.New())
}
