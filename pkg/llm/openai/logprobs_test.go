package openai

import (
	"math"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
)

// sureFrame is the piece "Hello" with a list of log probabilities.
func sureFrame(list string) string {
	return strings.Replace(helloFrame, `"finish_reason"`, `"logprobs":`+list+`,"finish_reason"`, 1)
}

func TestLogprobs(t *testing.T) {
	t.Parallel()
	const (
		hel = `{"token":"Hel","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"Hel","logprob":-0.5},{"token":"Hi","logprob":-1.5}]}`
		lo  = `{"token":"lo","logprob":-9999.0,"bytes":null,"top_logprobs":[]}`
	)
	for name, tc := range map[string]struct {
		frames          string
		n               int
		mean, min, edge float64 // edge is the margin, NaN for none
	}{
		"one chunk":        {sureFrame(`{"content":[` + hel + `,` + lo + `]}`), 2, -15.25, -30, 1},
		"two chunks":       {sureFrame(`{"content":[`+hel+`]}`) + sureFrame(`{"content":[`+lo+`],"refusal":null}`), 2, -15.25, -30, 1},
		"no alternatives":  {sureFrame(`{"content":[` + lo + `]}`), 1, -30, -30, math.NaN()},
		"not the likelier": {sureFrame(`{"content":[{"token":"a","logprob":-3,"top_logprobs":[{"token":"b","logprob":-1},{"token":"c","logprob":-2}]}]}`), 1, -3, -3, -2},
		"same text twice":  {sureFrame(`{"content":[{"token":"a","logprob":-1,"top_logprobs":[{"token":"a","logprob":-1},{"token":"a","logprob":-4}]}]}`), 1, -1, -1, 3},
		"null":             {helloFrame + sureFrame("null"), 0, 0, 0, 0},
		"null list":        {helloFrame + sureFrame(`{"content":null}`), 0, 0, 0, 0},
		"null number":      {sureFrame(`{"content":[{"token":"a","logprob":null,"top_logprobs":[]},` + hel + `]}`), 1, -0.5, -0.5, 1},
		"other shape":      {sureFrame(`{"tokens":["a"],"token_logprobs":[-1]}`), 0, 0, 0, 0},
		"of the reasoning": {strings.Replace(sureFrame(`{"content":[`+lo+`]}`), `"content":"Hello"`, `"reasoning_content":"hm"`, 1) + sureFrame(`{"content":[`+hel+`]}`), 1, -0.5, -0.5, 1},
		"second choice":    {strings.Replace(sureFrame(`{"content":[`+lo+`]}`), `"index":0`, `"index":1`, 1) + sureFrame(`{"content":[`+hel+`]}`), 1, -0.5, -0.5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := setup(t, streams(roleFrame+tc.frames+stopFrame+doneFrame))
			req := hi()
			req.Logprobs = true
			got, err := c.Chat(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if tc.n == 0 {
				if got.Logprobs != nil {
					t.Errorf("got %+v, want none", got.Logprobs)
				}
				return
			}
			l := got.Logprobs
			if l == nil || l.N != tc.n || math.Abs(l.Mean-tc.mean) > 1e-9 || l.Min != tc.min || (l.Margin == nil) != math.IsNaN(tc.edge) {
				t.Fatalf("got %+v, want %+v", l, tc)
			}
			if l.Margin != nil && math.Abs(*l.Margin-tc.edge) > 1e-9 {
				t.Errorf("margin %v, want %v", *l.Margin, tc.edge)
			}
			if got, err := c.Chat(t.Context(), hi()); err != nil || got.Logprobs != nil {
				t.Errorf("unasked: got %+v, %v", got.Logprobs, err)
			}
		})
	}
}

// FuzzLogprobs: any event gives finite numbers or none.
func FuzzLogprobs(f *testing.F) {
	f.Add(`{"choices":[{"index":0,"logprobs":{"content":[{"token":"a","logprob":-1,"top_logprobs":[{"token":"b","logprob":-2}]}]}}]}`)
	f.Add(`{"choices":[{"logprobs":{"content":[null,1,{"logprob":1e308},{"token":"","logprob":-1e308}]}}]}`)
	f.Fuzz(func(t *testing.T, data string) {
		l := llm.SumUp(appendLogprobs(nil, []byte(data)))
		if l == nil {
			return
		}
		for _, v := range []float64{l.Mean, l.Min, l.Q10} {
			if !(v >= llm.MinLogprob && v <= 0) {
				t.Errorf("%s gives %+v", data, l)
			}
		}
	})
}
