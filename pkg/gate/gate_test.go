package gate_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/gate"
	"github.com/weir-dev/weir/pkg/ground"
	"github.com/weir-dev/weir/pkg/llm"
)

const invoice = `{"type":"object","properties":{"total":{"type":"number"},"currency":{"enum":["EUR","USD"]}},"required":["total","currency"],"additionalProperties":false}`

func compile(t *testing.T, g event.Gates) *gate.Gate {
	t.Helper()
	made, err := gate.New(&g, ground.New())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func judge(t *testing.T, g *gate.Gate, text string, change ...func(*gate.Answer)) event.Judged {
	t.Helper()
	in := gate.Answer{Question: "What?", Response: &llm.ChatResponse{Text: text, FinishReason: "stop"}}
	for _, f := range change {
		f(&in)
	}
	return g.Judge(t.Context(), in)
}

func cut(in *gate.Answer) { in.Response.FinishReason = "length" }

func sources(in *gate.Answer) {
	in.Sources = []event.Source{{Number: 1, Document: "d", Text: "A job is acked only after its outputs are stored."}}
}

// TestGates: each gate lets pass what it should, and fails hard what it should not.
func TestGates(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		gates  event.Gates
		text   string
		change func(*gate.Answer)
		failed string // the gate; "" passes
	}{
		{"none", event.Gates{}, "anything", cut, ""},
		{"complete", event.Gates{Complete: true}, "It is", nil, ""},
		{"cut", event.Gates{Complete: true}, "It is", cut, gate.Complete},
		{"schema", event.Gates{Schema: json.RawMessage(invoice)}, `{"total":9.5,"currency":"EUR"}`, nil, ""},
		{"schema, fenced", event.Gates{Schema: json.RawMessage(invoice)}, "```json\n{\"total\":9.5,\"currency\":\"EUR\"}\n```", nil, ""},
		{"schema, prose", event.Gates{Schema: json.RawMessage(invoice)}, `Sure: {"total":9.5,"currency":"EUR"}`, nil, gate.Schema},
		{"schema, violated", event.Gates{Schema: json.RawMessage(invoice)}, `{"total":"9.5","currency":"EUR"}`, nil, gate.Schema},
		{"schema, half", event.Gates{Schema: json.RawMessage(invoice)}, `{"total":9.5,"curr`, nil, gate.Schema},
		{"schema, cut after a whole value", event.Gates{Schema: json.RawMessage(invoice)}, `{"total":9.5,"currency":"EUR"}`, cut, gate.Complete},
		{"schema, not UTF-8", event.Gates{Schema: json.RawMessage(`{"type":"string"}`)}, "\"a\xff\"", nil, gate.Schema},
		{"empty", event.Gates{}, " \n", nil, gate.Complete},
		{"checks", event.Gates{Schema: json.RawMessage(invoice), Checks: []event.Check{{Name: "paid", Expr: "answer.total > 0.0"}}}, `{"total":1,"currency":"EUR"}`, nil, ""},
		{"checks, false", event.Gates{Schema: json.RawMessage(invoice), Checks: []event.Check{{Name: "paid", Expr: "answer.total > 0.0"}}}, `{"total":-1,"currency":"EUR"}`, nil, gate.Checks},
		{"pattern", event.Gates{Pattern: `^[A-Z]{3}$`}, " EUR\n", nil, ""},
		{"pattern, other", event.Gates{Pattern: `^[A-Z]{3}$`}, "euro", nil, gate.Pattern},
		{"enum", event.Gates{Enum: []string{"yes", "no"}}, "yes", nil, ""},
		{"enum, other", event.Gates{Enum: []string{"yes", "no"}}, "perhaps", nil, gate.Enum},
		{"arithmetic", event.Gates{Verify: []string{event.VerifyArithmetic}}, "3*4=12", nil, ""},
		{"arithmetic, wrong", event.Gates{Verify: []string{event.VerifyArithmetic}}, "3*4=13", nil, event.VerifyArithmetic},
		{"final answer", event.Gates{Verify: []string{event.VerifyFinalAnswer}}, "So we get 12.\n#### 12", nil, ""},
		{"citations", event.Gates{Verify: []string{event.VerifyCitations}}, "A job is acked after its outputs are stored [1].", sources, ""},
		{"citations, none", event.Gates{Verify: []string{event.VerifyCitations}}, "A job is acked after its outputs are stored.", sources, event.VerifyCitations},
		{"citations, unsupported", event.Gates{Verify: []string{event.VerifyCitations}}, "Penguins live in Antarctica and eat krill [1].", sources, event.VerifyCitations},
		{"json", event.Gates{Verify: []string{event.VerifyJSON}}, "[1, 2]", nil, ""},
		{"json, not", event.Gates{Verify: []string{event.VerifyJSON}}, "[1, 2", nil, event.VerifyJSON},
		{"sql", event.Gates{Verify: []string{event.VerifySQL}}, "SELECT a FROM b WHERE c = 1", nil, ""},
		{"sql, not", event.Gates{Verify: []string{event.VerifySQL}}, "SELECT FROM WHERE (", nil, event.VerifySQL},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.change == nil {
				tc.change = func(*gate.Answer) {}
			}
			got := judge(t, compile(t, tc.gates), tc.text, tc.change)
			if got.Reason != tc.failed || got.Hard != (tc.failed != "") || gate.Accepts(&got) != (tc.failed == "") {
				t.Errorf("reason %q, hard %t, violations %v; want %q", got.Reason, got.Hard, got.Violations, tc.failed)
			}
			if tc.failed == "" {
				return
			}
			if last := got.Gates[len(got.Gates)-1]; last.Name != tc.failed || last.Passed || last.Detail == "" || len(got.Violations) == 0 {
				t.Errorf("gates %+v, violations %v; want the failed one last, with why", got.Gates, got.Violations)
			}
		})
	}
}

// TestValueAlone: what is accepted under a schema is the value, without a fence.
func TestValueAlone(t *testing.T) {
	t.Parallel()
	got := judge(t, compile(t, event.Gates{Schema: json.RawMessage(invoice)}), "Here:\n```json\n{\"total\":9.5,\"currency\":\"EUR\"}\n```\n")
	if !json.Valid([]byte(got.Answer.Text)) {
		t.Errorf("answer %q is no JSON", got.Answer.Text)
	}
}

// TestProbability: the calibrated one decides; without a calibration that of a token,
// and what is paid for before that.
func TestProbability(t *testing.T) {
	t.Parallel()
	sure := func(mean float64) func(*gate.Answer) {
		return func(in *gate.Answer) { in.Response.Logprobs = &llm.Logprobs{N: 3, Mean: mean, Min: mean, Q10: mean} }
	}
	for _, tc := range []struct {
		name   string
		mean   float64
		paid   map[string]float64
		want   float64
		accept bool
	}{
		{"a sure token", -0.1, nil, math.Exp(-0.1), true},
		{"an unsure one", -1, nil, math.Exp(-1), false},
		{"agreement counts before", -1, map[string]float64{cascade.Agree: 1}, 1, true},
		{"the judge as well", -0.1, map[string]float64{cascade.Agree: 1, cascade.Judge: 0.2}, 0.2, false},
	} {
		g := compile(t, event.Gates{Tau: 0.8, Paid: []event.PaidSignal{{Signal: cascade.Agree, Model: "other"}}})
		got := judge(t, g, "42", sure(tc.mean))
		if tc.paid != nil {
			g.Weigh(&got, "", "", tc.paid)
		}
		if math.Abs(got.P-tc.want) > 1e-9 || gate.Accepts(&got) != tc.accept {
			t.Errorf("%s: p %v, accepted %t; want %v, %t", tc.name, got.P, gate.Accepts(&got), tc.want, tc.accept)
		}
		n := 0
		for _, r := range got.Gates {
			if r.Name == gate.Probability {
				n++
				if *r.Threshold != 0.8 || math.Abs(*r.Value-tc.want) > 1e-9 {
					t.Errorf("%s: gate %+v", tc.name, r)
				}
			}
		}
		if n != 1 {
			t.Errorf("%s: %d gates of probability, want 1", tc.name, n)
		}
	}
	calibration, err := json.Marshal(cascade.Calibration{Bias: -2})
	if err != nil {
		t.Fatal(err)
	}
	got := judge(t, compile(t, event.Gates{Tau: 0.5, Calibration: calibration}), "42", sure(-0.01))
	if want := 1 / (1 + math.Exp(2)); math.Abs(got.P-want) > 1e-9 || got.Reason != gate.Probability || got.Hard {
		t.Errorf("calibrated: %+v, want p %v and not accepted", got, want)
	}
}

// TestPaidOnlyWhenItCanHelp: nothing is bought for an answer that failed hard.
func TestPaidOnlyWhenItCanHelp(t *testing.T) {
	t.Parallel()
	g := compile(t, event.Gates{Enum: []string{"yes"}, Tau: 0.5, Paid: []event.PaidSignal{{Signal: cascade.Judge, Model: "large"}}})
	if j := judge(t, g, "no"); len(g.Paid(&j)) != 0 {
		t.Error("buys a signal for an answer that failed")
	}
	if j := judge(t, g, "yes"); len(g.Paid(&j)) != 1 {
		t.Error("does not buy the signal")
	}
}

// TestCallsAreSteps: an answer that calls tools passes whatever is asked of the last
// one, unless it was cut off; nothing is bought or repaired for it.
func TestCallsAreSteps(t *testing.T) {
	t.Parallel()
	g := compile(t, event.Gates{Complete: true, Schema: json.RawMessage(invoice), Enum: []string{"yes"}, Verify: []string{event.VerifyFinalAnswer}, Tau: 0.9,
		Paid: []event.PaidSignal{{Signal: cascade.Judge, Model: "large"}}})
	calls := []event.ToolCall{{ID: "c", Type: "function", Function: event.FunctionCall{Name: "f", Arguments: "{}"}}}
	call := func(in *gate.Answer) { in.Response.ToolCalls, in.Response.FinishReason = calls, "tool_calls" }
	for _, text := range []string{"", "Let me look."} {
		j := judge(t, g, text, call)
		if !gate.Accepts(&j) || j.P != 1 || !reflect.DeepEqual(j.Answer, event.Answer{Text: text, ToolCalls: calls, FinishReason: "tool_calls"}) {
			t.Errorf("judged %+v", j)
		}
		if len(g.Paid(&j)) != 0 || g.Repair(&j) != "" {
			t.Error("buys or repairs")
		}
	}
	if j := judge(t, g, "", call, cut); gate.Accepts(&j) || j.Reason != gate.Complete || g.Repair(&j) != "" {
		t.Errorf("cut off: judged %+v", j)
	}
	if j := judge(t, compile(t, event.Gates{}), "", call, cut); !gate.Accepts(&j) {
		t.Errorf("cut off, without gates: judged %+v", j)
	}
}

// TestRepair: only the form can be mended, and only with words about it.
func TestRepair(t *testing.T) {
	t.Parallel()
	g := compile(t, event.Gates{Schema: json.RawMessage(invoice)})
	j := judge(t, g, `{"total":"x","currency":"EUR"}`)
	if text := g.Repair(&j); !strings.Contains(text, "/total") || !strings.Contains(text, "JSON") {
		t.Errorf("repair %q, want the place and the form", text)
	}
	if j := judge(t, g, `{"total":1`, cut); g.Repair(&j) != "" {
		t.Error("asks to mend an answer that was cut off")
	}
	if j := judge(t, g, `{"total":1,"currency":"USD"}`); g.Repair(&j) != "" {
		t.Error("asks to mend what is right")
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	got := []float64{gate.Verdict("87"), gate.Verdict("about 20 %"), gate.Verdict("no idea"), gate.Verdict("9999")}
	if want := []float64{0.87, 0.2, 0.5, 0.5}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// BenchmarkJudge is the decision about an answer of usual length.
func BenchmarkJudge(b *testing.B) {
	g, err := gate.New(&event.Gates{Complete: true, Verify: []string{event.VerifyArithmetic}, Tau: 0.8}, ground.New())
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Repeat("The tank holds 3*4=12 litres, so after two days 24 litres are gone. ", 10) + "The answer is 24."
	in := gate.Answer{Question: "How many litres are gone after two days?", Response: &llm.ChatResponse{Text: text, FinishReason: "stop", Logprobs: &llm.Logprobs{N: 200, Mean: -0.2, Min: -3, Q10: -0.9}}}
	for b.Loop() {
		g.Judge(b.Context(), in)
	}
}
