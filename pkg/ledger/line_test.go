package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

func testLine() Line {
	return Line{
		Tenant: "acme", Job: "j1", Step: "generate-0", Epoch: 513, Call: 2, Model: "small", Provider: "sim", Catalog: "r1",
		At:    time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC),
		Usage: llm.Usage{PromptTokens: 10, CompletionTokens: 3, CachedTokens: 4}, CostNanoUSD: 70,
		Answer: &Answer{Text: "Yes.", FinishReason: "stop"}, TTFTMS: 1.5, DurationMS: 20,
	}
}

// TestLineOnTheWire pins the format: other programs read it.
func TestLineOnTheWire(t *testing.T) {
	t.Parallel()
	out, err := LineOut(testLine())
	if err != nil {
		t.Fatal(err)
	}
	const subject = "weir.ledger.acme.j1.generate-0.513-2"
	const header = `{"model":"small","provider":"sim","cost_nano_usd":70,"prompt":10,"cached":4,"completion":3}`
	const body = `{"v":1,"tenant":"acme","job":"j1","step":"generate-0","epoch":513,"call":2,"model":"small","provider":"sim","catalog":"r1",` +
		`"at":"2026-11-25T10:00:00Z","usage":{"prompt_tokens":10,"completion_tokens":3,"cached_tokens":4},"cost_nano_usd":70,` +
		`"answer":{"text":"Yes.","finish_reason":"stop"},"ttft_ms":1.5,"duration_ms":20}`
	if out.Subject != subject || out.Header.Get(HeaderLine) != header || string(out.Data) != body || out.ID != "" {
		t.Errorf("got %s\n%s\n%s", out.Subject, out.Header, out.Data)
	}
	h, err := readHead(out.Subject, out.Header)
	if err != nil || h.tenant != "acme" || h.job != "j1" || h.step != "generate-0" || h.epoch != 513 || h.call != 2 || h.sums != testLine().sums() {
		t.Errorf("read back: %+v, %v", h, err)
	}
	line, err := decodeLine(&bus.Message{Subject: out.Subject, Header: out.Header, Data: out.Data})
	if err != nil || line.Answer.Text != "Yes." || line.Usage != testLine().Usage {
		t.Errorf("read back: %+v, %v", line, err)
	}
}

func TestBadLines(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*Line){
		"tenant":                  func(l *Line) { l.Tenant = "a b" },
		"epoch":                   func(l *Line) { l.Epoch = -1 },
		"call":                    func(l *Line) { l.Call = 0 },
		"cost_nano_usd":           func(l *Line) { l.CostNanoUSD = -1 },
		"usage.prompt_tokens":     func(l *Line) { l.Usage.PromptTokens = -1 },
		"usage.completion_tokens": func(l *Line) { l.Usage.CompletionTokens = -1 },
	} {
		line := testLine()
		change(&line)
		_, err := LineOut(line)
		wantClass(t, err, event.ClassInvalid, field+":")
	}
}

// FuzzReadHead: whatever a foreign client publishes is refused or makes sense.
func FuzzReadHead(f *testing.F) {
	f.Add("weir.ledger.acme.j1.s.1-1", `{"model":"small","cost_nano_usd":5}`)
	f.Add("weir.ledger.acme.j1.s.x", `{}`)
	f.Add("weir.ledger.a", `{"model":"small","cost_nano_usd":-5}`)
	f.Fuzz(func(t *testing.T, subject, header string) {
		h, err := readHead(subject, nats.Header{HeaderLine: {header}})
		if err != nil {
			return
		}
		if h.Cost < 0 || h.Prompt < 0 || event.CheckName("model", h.Model) != nil || strings.Count(h.totalKey(), ".") != 2 {
			t.Errorf("%q %q: took %+v", subject, header, h)
		}
	})
}
