package tokens_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/tokens"
)

// manual is a clock that tests move.
type manual struct{ at time.Time }

func (m *manual) now() time.Time { return m.at }

func newCalibration() (*tokens.Calibration, *manual) {
	clock := &manual{time.Unix(1_700_000_000, 0)}
	return tokens.NewCalibration(clock.now), clock
}

// observe has n answers with the given prompt tokens for 1000 counted ones.
func observe(c *tokens.Calibration, n, prompt int) {
	for range n {
		c.Observe(tokens.Usage{Tenant: "t", Model: "m", Kind: tokens.KindProse, Counted: 1000, Prompt: prompt, Completion: 100})
	}
}

func TestInputLearns(t *testing.T) {
	t.Parallel()
	c, _ := newCalibration()
	if got := c.Input("m", tokens.KindProse, 1000, 1.15); got != 1150 {
		t.Errorf("nothing seen: Input = %d, want the first guess, 1150", got)
	}
	if got := c.Input("m", tokens.KindProse, 1000, 0); got != 1000 {
		t.Errorf("no guess: Input = %d, want 1000", got)
	}
	observe(c, 1, 1300)
	if got := c.Input("m", tokens.KindProse, 1000, 1.15); got != 1300 {
		t.Errorf("after one answer: Input = %d, want 1300", got)
	}
	if got := c.Input("m", tokens.KindCode, 1000, 1.15); got != 1150 {
		t.Errorf("another kind: Input = %d, want the first guess", got)
	}
	observe(c, 1, 1100)
	// Mean 1.2, standard deviation 0.1: two of them more are 1.4.
	if got := c.Input("m", tokens.KindProse, 1000, 0); got != 1400 {
		t.Errorf("after two answers: Input = %d, want 1400", got)
	}
}

func TestRatioFollows(t *testing.T) {
	t.Parallel()
	c, _ := newCalibration()
	observe(c, 10, 1000)
	observe(c, 10, 1200)
	r := c.Ratio("m", tokens.KindProse)
	if r.N != 20 || math.Abs(r.Mean-1.1) > 1e-9 || math.Abs(r.Var-0.01) > 1e-9 {
		t.Fatalf("after 20 answers: %+v, want their mean 1.1 and variance 0.01", r)
	}
	observe(c, 1, 2100)
	if r = c.Ratio("m", tokens.KindProse); math.Abs(r.Mean-1.15) > 1e-9 {
		t.Errorf("answer 21 moved the mean to %v, want 1.15: a twentieth of the way", r.Mean)
	}
	observe(c, 300, 900)
	if got := c.Input("m", tokens.KindProse, 1000, 0); got < 900 || got > 905 {
		t.Errorf("after a lasting change: Input = %d, want about 900", got)
	}
}

func TestInputCoversTheNext(t *testing.T) {
	t.Parallel()
	c, _ := newCalibration()
	rnd := rand.New(rand.NewPCG(1, 1))
	covered, sum := 0, 0
	const calls = 5000
	for range calls {
		prompt := int(1200 * (1 + 0.05*rnd.NormFloat64()))
		got := c.Input("m", tokens.KindProse, 1000, 0)
		if got >= prompt {
			covered++
		}
		sum += got
		observe(c, 1, prompt)
	}
	if share := float64(covered) / calls; share < 0.94 {
		t.Errorf("%.3f of the estimates were enough, want 0.94", share)
	}
	if mean := sum / calls; mean > 1350 {
		t.Errorf("the mean estimate is %d, want two deviations above 1200 at most", mean)
	}
}

func TestInputBounds(t *testing.T) {
	t.Parallel()
	for prompt, want := range map[int]int{1: 500, 1_000_000: 3000} {
		c, _ := newCalibration()
		observe(c, 30, prompt)
		if got := c.Input("m", tokens.KindProse, 1000, 0); got != want {
			t.Errorf("usage of %d for 1000: Input = %d, want the bound %d", prompt, got, want)
		}
	}
	c, _ := newCalibration()
	c.Observe(tokens.Usage{Model: "m", Kind: tokens.KindProse, Prompt: 10})
	c.Observe(tokens.Usage{Model: "m", Kind: tokens.KindProse, Counted: 10})
	if s := c.Snapshot(); len(s.Ratios)+len(s.Outputs) != 0 {
		t.Errorf("unknown figures taught %+v", s)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	c, _ := newCalibration()
	lengths := make([]int, 0, 1000)
	rnd := rand.New(rand.NewPCG(2, 2))
	for i := range 1000 {
		if i == 19 && c.Output("t", "m", 4096) != 4096 {
			t.Errorf("after 19 answers: Output = %d, want max_tokens", c.Output("t", "m", 4096))
		}
		n := int(math.Exp(5 + rnd.NormFloat64()))
		lengths = append(lengths, max(n, 1))
		c.Observe(tokens.Usage{Tenant: "t", Model: "m", Completion: max(n, 1)})
	}
	slices.Sort(lengths)
	p50, p90, n := c.OutputQuantiles("t", "m")
	for _, q := range []struct{ got, want int }{{p50, lengths[499]}, {p90, lengths[899]}} {
		if q.got < q.want || q.got > q.want*9/8 {
			t.Errorf("quantile is %d, want %d to an eighth more", q.got, q.want)
		}
	}
	if n != 1000 {
		t.Errorf("%d answers seen, want 1000", n)
	}
	if got := c.Output("t", "m", 50); got != 50 {
		t.Errorf("Output = %d, want no more than max_tokens", got)
	}
	if got := c.Output("t", "m", 0); got != p90 {
		t.Errorf("Output without a bound = %d, want p90 %d", got, p90)
	}
	if got := c.Output("other", "m", 0); got != 0 {
		t.Errorf("Output of an unknown tenant = %d, want 0", got)
	}
}

func TestOutputFollows(t *testing.T) {
	t.Parallel()
	c, _ := newCalibration()
	for _, n := range []int{3000, 10} {
		for range 4000 {
			c.Observe(tokens.Usage{Tenant: "t", Model: "m", Completion: n})
		}
	}
	if got := c.Output("t", "m", 4096); got != 10 {
		t.Errorf("Output = %d, want 10: that is what the last 4000 answers had", got)
	}
}

func TestOldestIsForgotten(t *testing.T) {
	t.Parallel()
	c, clock := newCalibration()
	const tenants = 700
	for i := range tenants {
		clock.at = clock.at.Add(time.Second)
		c.Observe(tokens.Usage{Tenant: fmt.Sprint("t", i), Model: "m", Completion: 7})
	}
	s := c.Snapshot()
	if len(s.Outputs) != 500 {
		t.Errorf("%d outputs kept, want 500", len(s.Outputs))
	}
	for _, o := range s.Outputs {
		if o.Tenant == "t0" || o.Tenant == "t199" {
			t.Errorf("%s is kept, newer ones are not", o.Tenant)
		}
	}
	// Older knowledge must not displace newer by way of a merge.
	old := tokens.State{Version: 1, Outputs: []tokens.Output{{Tenant: "old", Model: "m", N: 9, At: 1, Counts: map[int]int{7: 9}}}}
	if err := c.Merge(old); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(c.Snapshot(), s) {
		t.Error("an old output displaced a newer one")
	}
}

func TestSnapshotRestoreMerge(t *testing.T) {
	t.Parallel()
	a, _ := newCalibration()
	observe(a, 30, 1300)
	data, err := json.Marshal(a.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var state tokens.State
	if err := json.Unmarshal(data, &state); err != nil {
		t.Fatal(err)
	}
	b, _ := newCalibration()
	b.Observe(tokens.Usage{Tenant: "b", Model: "m", Kind: tokens.KindProse, Counted: 10, Prompt: 20, Completion: 1})
	for range 2 { // the second time changes nothing
		if err := b.Merge(state); err != nil {
			t.Fatal(err)
		}
		if got := b.Ratio("m", tokens.KindProse); got != a.Ratio("m", tokens.KindProse) {
			t.Errorf("merged ratio is %+v, want that of more answers", got)
		}
		if _, _, n := b.OutputQuantiles("b", "m"); n != 1 {
			t.Error("merging lost what only this side knew")
		}
	}
	observe(b, 1, 1300)
	if err := b.Merge(state); err != nil || b.Ratio("m", tokens.KindProse).N != 31 {
		t.Errorf("merging went back to %d answers, error %v", b.Ratio("m", tokens.KindProse).N, err)
	}
	if err := b.Restore(state); err != nil || !reflect.DeepEqual(b.Snapshot(), state) {
		t.Errorf("Restore left %+v, error %v, want %+v", b.Snapshot(), err, state)
	}
	observe(b, 1, 1300)
	if state.Outputs[0].Counts[39] != a.Snapshot().Outputs[0].Counts[39] {
		t.Error("the state shares its counts with the calibration")
	}
}

func TestStateIsValidated(t *testing.T) {
	t.Parallel()
	ratio := tokens.Ratio{Model: "m", N: 1, Mean: 1}
	output := tokens.Output{Tenant: "t", Model: "m", N: 1, Counts: map[int]int{3: 1}}
	tests := []struct {
		name, want string
		spoil      func(*tokens.State)
	}{
		{"version", "version", func(s *tokens.State) { s.Version = 2 }},
		{"no answers", "ratios[0]", func(s *tokens.State) { s.Ratios[0].N = 0 }},
		{"mean", "mean 9", func(s *tokens.State) { s.Ratios[0].Mean = 9 }},
		{"variance", "var -1", func(s *tokens.State) { s.Ratios[0].Var = -1 }},
		{"no counts", "outputs[0]", func(s *tokens.State) { s.Outputs[0].Counts = nil }},
		{"bucket", "counts[999]", func(s *tokens.State) { s.Outputs[0].Counts = map[int]int{999: 1} }},
		{"count", "counts[3]", func(s *tokens.State) { s.Outputs[0].Counts = map[int]int{3: -1} }},
	}
	for _, tt := range tests {
		s := tokens.State{Version: 1, Ratios: []tokens.Ratio{ratio}, Outputs: []tokens.Output{output}}
		c, _ := newCalibration()
		if err := c.Restore(s); err != nil {
			t.Fatal(err)
		}
		tt.spoil(&s)
		before := c.Snapshot()
		for _, err := range []error{c.Merge(s), c.Restore(s)} {
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: error = %v, want one with %q", tt.name, err, tt.want)
			}
		}
		if !reflect.DeepEqual(c.Snapshot(), before) {
			t.Errorf("%s: a refused state changed the calibration", tt.name)
		}
	}
}

func TestCalibrationConcurrently(t *testing.T) {
	t.Parallel()
	c, other := tokens.NewCalibration(nil), tokens.NewCalibration(nil)
	observe(other, 25, 1100)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				observe(c, 1, 1100)
				c.Input("m", tokens.KindProse, 10, 1)
				c.Output("t", "m", 10)
				if err := other.Merge(c.Snapshot()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := c.Ratio("m", tokens.KindProse).N; n != 800 {
		t.Errorf("%d answers counted, want 800", n)
	}
}
