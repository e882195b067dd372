package embedder

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// asks submits an embed job of the tests' tenant, as any NATS client does.
func (r *rig) asks(id string, job event.EmbedJob) {
	r.T.Helper()
	job.V, job.ID = event.Version, id
	r.Publish(event.Address{Kind: event.KindEmbed, Lane: event.LaneInteractive, Tenant: stagetest.Tenant}.Subject(), id, job)
}

// floats reads a vector of a result.
func floats(t *testing.T, data []byte) []float32 {
	t.Helper()
	if len(data)%4 != 0 {
		t.Fatalf("%d bytes are no vector", len(data))
	}
	var out []float32
	for raw := range slices.Chunk(data, 4) {
		out = append(out, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return out
}

// TestEmbedJob: the vectors of the texts as they are, in order, with a receipt, and a
// line in the ledger.
func TestEmbedJob(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.prefixed()
	fake := &llmtest.Fake{}
	r.start(fake)
	lines := r.Subscribe("weir.ledger.>")
	job := event.EmbedJob{Model: "next", Inputs: []string{"two words", "one", "two words"}}
	job.Metadata, job.Webhook = map[string]string{"k": "v"}, "https://a"
	r.asks("e1", job)
	got := r.OK(event.KindEmbed, "e1")
	e := got.Embedded
	if e == nil || e.Model != "next" || e.Dimensions != 4 || len(e.Vectors) != 3 || e.Tokens != 8 {
		t.Fatalf("embedded %+v", e)
	}
	for i, text := range job.Inputs {
		if v := floats(t, e.Vectors[i]); !reflect.DeepEqual(v, llmtest.Vector(text, 4)) {
			t.Errorf("vector %d is %v, want that of %q", i, v, text)
		}
	}
	if rc := got.Receipt; len(rc.Attempts) != 1 || rc.PromptTokens != 8 || rc.CostNanoUSD != 160 || rc.TotalMS <= 0 || rc.Attempts[0].Model != "next" || rc.Attempts[0].Catalog == "" {
		t.Errorf("receipt %+v", rc)
	}
	if got.Metadata["k"] != "v" || got.Webhook != "https://a" || got.Tenant != stagetest.Tenant {
		t.Errorf("result %+v", got)
	}
	line, _ := stagetest.Next(r.Kit, lines, decodeLine)
	if line.Job != "e1" || line.Tenant != stagetest.Tenant || line.CostNanoUSD != 160 || line.Usage.PromptTokens != 8 {
		t.Errorf("line %+v", line)
	}
	r.asks("e2", event.EmbedJob{Inputs: []string{"one"}})
	if e := r.OK(event.KindEmbed, "e2").Embedded; e.Model != "embed" || !reflect.DeepEqual(floats(t, e.Vectors[0]), llmtest.Vector("one", 4)) {
		t.Errorf("embedded %+v, want by the model in force", e)
	}
}

// TestEmbedJobObeysTheTenantsBounds: jobs come from NATS, too, where nobody has looked
// at what the tenant may use.
func TestEmbedJobObeysTheTenantsBounds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.catalog += "tenants: [{id: " + stagetest.Tenant + ", models: [embed], lanes: [interactive]}]\n"
	fake := &llmtest.Fake{}
	r.start(fake)
	r.asks("e1", event.EmbedJob{Model: "next", Inputs: []string{"one"}})
	if e := r.Failure(event.KindEmbed, "e1"); e.Class != event.ClassForbidden || e.Field != "model" {
		t.Errorf("by another model: %+v", e)
	}
	r.Publish(event.Address{Kind: event.KindEmbed, Lane: event.LaneBatch, Tenant: stagetest.Tenant}.Subject(), "e2", event.EmbedJob{
		Envelope: event.Envelope{V: event.Version, ID: "e2"}, Inputs: []string{"one"}})
	if e := r.Failure(event.KindEmbed, "e2"); e.Class != event.ClassForbidden || e.Field != "lane" {
		t.Errorf("on another lane: %+v", e)
	}
	if calls := fake.Embeds(); len(calls) > 0 {
		t.Errorf("%d calls for what was refused", len(calls))
	}
	r.asks("e3", event.EmbedJob{Inputs: []string{"one"}})
	r.OK(event.KindEmbed, "e3")
}

func decodeLine(data []byte) (line ledger.Line, err error) {
	err = json.Unmarshal(data, &line)
	return line, err
}

// prefixed gives the tests' models a prefix for passages, a small context, and small
// batches.
func (r *rig) prefixed() {
	r.catalog = strings.ReplaceAll(text, "shorten: true,", `shorten: true, passage_prefix: "passage: ", query_prefix: "query: ", context: {input: 50}, batch: {items: 100},`)
}

// TestEmbedJobsAreSplit: into calls that the model takes; the line of each portion is
// stored when it is done.
func TestEmbedJobsAreSplit(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.prefixed()
	fake := &llmtest.Fake{}
	r.start(fake)
	lines := r.Subscribe("weir.ledger.>")
	job := event.EmbedJob{}
	for i := range 2*portion + 1 {
		job.Inputs = append(job.Inputs, fmt.Sprint("text ", i))
	}
	r.asks("e1", job)
	got := r.OK(event.KindEmbed, "e1")
	if len(got.Embedded.Vectors) != len(job.Inputs) || len(got.Receipt.Attempts) != 3 || got.Receipt.PromptTokens != 3*len(job.Inputs) {
		t.Errorf("%d vectors, receipt %+v", len(got.Embedded.Vectors), got.Receipt)
	}
	for i, text := range job.Inputs {
		if !reflect.DeepEqual(floats(t, got.Embedded.Vectors[i]), llmtest.Vector(text, 4)) {
			t.Fatalf("vector %d is another text's", i)
		}
	}
	for _, call := range fake.Embeds() {
		if len(call.Inputs) > 100 {
			t.Errorf("a call has %d texts, want at most 100", len(call.Inputs))
		}
	}
	cost := int64(0)
	for range 3 {
		line, _ := stagetest.Next(r.Kit, lines, decodeLine)
		cost += line.CostNanoUSD
	}
	if cost != got.Receipt.CostNanoUSD {
		t.Errorf("the ledger has %d, the receipt %d", cost, got.Receipt.CostNanoUSD)
	}
}

// TestWrongEmbedJobs: they fail at once, name the field, and cost nothing.
func TestWrongEmbedJobs(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.prefixed()
	fake := &llmtest.Fake{}
	r.start(fake)
	for name, tc := range map[string]struct {
		job         event.EmbedJob
		class       event.Class
		field, part string
	}{
		"unknown": {event.EmbedJob{Model: "nobody", Inputs: []string{"a"}}, event.ClassInvalid, "model", "embed, next"},
		"empty":   {event.EmbedJob{}, event.ClassInvalid, "inputs", "1 to 2048"},
		"blank":   {event.EmbedJob{Inputs: []string{"a", ""}}, event.ClassInvalid, "inputs[1]", ""},
		"long":    {event.EmbedJob{Inputs: []string{"a", strings.Repeat("many words ", 50)}}, event.ClassTooLarge, "inputs[1]", "takes 50"},
	} {
		r.asks(name, tc.job)
		if e := r.Failure(event.KindEmbed, name); e.Class != tc.class || e.Field != tc.field || !strings.Contains(e.Error(), tc.part) || e.Hint == "" {
			t.Errorf("%s: error %+v", name, e)
		}
	}
	if n := len(fake.Embeds()); n != 0 {
		t.Errorf("%d calls were made", n)
	}
}

// TestRefusedText: the job's failure names the text that the provider refuses; others'
// jobs in the same call have their vectors, and what was paid is in the receipt.
func TestRefusedText(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if slices.Contains(req.Inputs, "bad") {
			return llm.EmbedResponse{}, event.Errorf(event.ClassContent, "refused")
		}
		return (&llmtest.Fake{}).Embed(ctx, req)
	}}
	r.start(fake)
	r.asks("e1", event.EmbedJob{Inputs: []string{"a", "b", "c", "bad"}})
	r.asks("e2", event.EmbedJob{Inputs: []string{"d"}})
	r.OK(event.KindEmbed, "e2")
	got := r.Result("e1")
	if got.Error == nil || got.Error.Class != event.ClassContent || !strings.Contains(got.Error.Message, "inputs[3]") {
		t.Errorf("error %+v", got.Error)
	}
	if got.Receipt.CostNanoUSD == 0 || len(got.Receipt.Attempts) != 1 {
		t.Errorf("receipt %+v, want what the other texts cost", got.Receipt)
	}
}

// TestEmbedJobIsTriedAgain: after trouble of the provider's, by the next delivery.
func TestEmbedJobIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var calls atomic.Int64
	r.start(&llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if calls.Add(1) == 1 {
			return llm.EmbedResponse{}, event.Errorf(event.ClassUnavailable, "down")
		}
		return (&llmtest.Fake{}).Embed(ctx, req)
	}})
	r.asks("e1", event.EmbedJob{Inputs: []string{"a"}})
	if got := r.OK(event.KindEmbed, "e1"); len(got.Embedded.Vectors) != 1 || calls.Load() != 2 {
		t.Errorf("result %+v after %d calls", got, calls.Load())
	}
}

// TestEmbedJobSurvivesAStop: another embedder takes over what one leaves in the middle.
func TestEmbedJobSurvivesAStop(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.DrainTimeout = 1
	begun := make(chan struct{}, 1)
	stop := r.start(&llmtest.Fake{EmbedFunc: func(ctx context.Context, _ llm.EmbedRequest) (llm.EmbedResponse, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return llm.EmbedResponse{}, ctx.Err()
	}})
	r.asks("e1", event.EmbedJob{Inputs: []string{"a"}})
	stagetest.Wait(t, begun, "a call")
	stop()
	r.start(&llmtest.Fake{})
	if got := r.OK(event.KindEmbed, "e1"); len(got.Embedded.Vectors) != 1 {
		t.Errorf("result %+v", got)
	}
}
