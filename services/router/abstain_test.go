package router

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// ptr is a setting of a part.
func ptr(f float64) *float64 { return &f }

// TestNothingFoundIsNoTask: the job ends with what a model would have to say, told
// to who reads the stream as well; what its question took is paid.
func TestNothingFoundIsNoTask(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}).embedder(vectors)
	tokens, lines := r.Subscribe("weir.tokens.acme.>"), r.Subscribe("weir.ledger.acme.>")
	job := question("What?")
	job.Stream, job.RAG.Abstain = true, ptr(0) // never, but there is nothing to ask about
	id := r.submit(job)
	result := r.OK(event.KindGenerate, id)
	if a := result.Answer; a.Text != "I don't know." || a.FinishReason != "abstained" || a.Model != "" || len(a.Citations) != 0 {
		t.Errorf("answer %+v, want none", a)
	}
	got := result.Receipt
	if len(got.Attempts) != 1 || got.CostNanoUSD != 80 || got.RetrievingMS <= 0 || got.TotalMS < got.RetrievingMS || got.Retrieval == nil || len(got.Retrieval.Lists) == 0 {
		t.Errorf("receipt %+v of %+v, want the retrieval", got, got.Retrieval)
	}
	if result.FinishedAt.IsZero() || result.ID != id || result.Tenant != "acme" {
		t.Errorf("result %+v", result)
	}
	for _, want := range []event.Token{{Type: event.TokenDelta, Text: "I don't know."}, {Type: event.TokenDone}} {
		token, _ := stagetest.Next(r.Kit, tokens, event.Decode[event.Token])
		if token.Type != want.Type || token.Text != want.Text || token.ID != id || token.Epoch == 0 {
			t.Errorf("token %+v, want %+v", token, want)
		}
	}
	line, _ := r.line(lines)
	if line.Job != id || line.Model != "embed" || line.CostNanoUSD != 80 {
		t.Errorf("line %+v, want the embedding", line)
	}
	r.noTask()
}

// TestNothingFoundForASchema: the job fails, for there is no JSON to give.
func TestNothingFoundForASchema(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}).embedder(vectors)
	job := question("What?")
	job.Schema = []byte(`{"type":"object"}`)
	if got := r.Result(r.submit(job)); got.Status != event.StatusFailed || got.Error.Class != event.ClassRejected || got.Error.Field != "rag.abstain" {
		t.Errorf("result %+v", got)
	}
	r.noTask()
}

// noTask checks that no task was stored, after the job's end.
func (r *rig) noTask() {
	r.T.Helper()
	s, err := r.Bus.JetStream().Stream(r.T.Context(), bus.StreamSteps)
	if err != nil {
		r.T.Fatal(err)
	}
	info, err := s.Info(r.T.Context(), jetstream.WithSubjectFilter("weir.steps.generate.>"))
	if err != nil || len(info.State.Subjects) != 0 {
		r.T.Errorf("tasks %v (%v), want none", info.State.Subjects, err)
	}
}

// TestNoStreamNoTokens: nobody asked for them.
func TestNoStreamNoTokens(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}).embedder(vectors)
	tokens := r.Subscribe("weir.tokens.acme.>")
	r.OK(event.KindGenerate, r.submit(question("What?")))
	if err := r.Bus.Conn().Flush(); err != nil { // what was sent before has arrived
		t.Fatal(err)
	}
	if n, _, err := tokens.Pending(); n != 0 || err != nil {
		t.Errorf("%d token messages (%v), want none", n, err)
	}
}

// TestCoverageDecides: of what a query of the same words says.
func TestCoverageDecides(t *testing.T) {
	t.Parallel()
	r := setupWith(t, standIn, finds(vector.Chunk{Document: "d", Text: "A weir raises the river."}))
	for _, text := range []string{"Which river does the weir raise?", "Who composed nine symphonies?"} {
		reply, _ := r.found(text, handbook)
		for _, abstain := range []*float64{nil, ptr(0), ptr(0.3), ptr(1)} {
			job := question(text)
			job.RAG.Abstain = abstain
			below := abstainByWords
			if abstain != nil {
				below = *abstain
			}
			id := r.submit(job)
			if reply.Coverage >= below {
				if task, _ := r.task(); task.ID != id || task.Receipt.Retrieval.Coverage != reply.Coverage {
					t.Errorf("%q covered by %g, below %g: task %+v", text, reply.Coverage, below, task.Receipt.Retrieval)
				}
				continue
			}
			result := r.OK(event.KindGenerate, id)
			if got := result.Receipt.Retrieval; result.Answer.FinishReason != event.FinishAbstained || got.Coverage != reply.Coverage || len(got.Sources) != 1 {
				t.Errorf("%q covered by %g, below %g: answer %+v, retrieval %+v", text, reply.Coverage, below, result.Answer, got)
			}
		}
	}
}

// TestAbstain: the job's word before the collection's before the setting; by
// default words only count where nothing else was searched.
func TestAbstain(t *testing.T) {
	t.Parallel()
	words, all := []vector.List{vector.BM25, vector.Grams}, []vector.List{vector.BM25, vector.Dense, vector.Grams}
	for _, tc := range []struct {
		name            string
		job, collection *float64
		setting         float64
		lists           []vector.List
		want            float64
	}{
		{"default, words", nil, nil, -1, words, abstainByWords},
		{"default, meaning", nil, nil, -1, all, 0},
		{"setting", nil, nil, 0.7, all, 0.7},
		{"setting off", nil, nil, 0, words, 0},
		{"collection", nil, ptr(0.2), 0.7, words, 0.2},
		{"collection off", nil, ptr(0), -1, words, 0},
		{"job", ptr(0.9), ptr(0.2), 0.7, all, 0.9},
		{"job off", ptr(0), ptr(0.2), 0.7, words, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &Service{cfg: Config{AbstainBelow: tc.setting}}
			q := &lookup{rag: &event.RAG{Abstain: tc.job}}
			q.col.Abstain = tc.collection
			found := &retrieved{lists: tc.lists, passages: make([]passage, 1)}
			if got := s.abstain(q, found); got != tc.want {
				t.Errorf("below %g, want %g", got, tc.want)
			}
			for _, coverage := range []float64{0, 0.1, 0.2, 0.5, 0.69, 0.7, 0.9, 1} {
				found.coverage = coverage
				if got, want := s.enough(q, found), coverage >= tc.want; got != want {
					t.Errorf("enough at %g: %t, want %t", coverage, got, want)
				}
			}
			found.passages = nil
			if s.enough(q, found) {
				t.Error("nothing is enough")
			}
		})
	}
}

// TestRoom: the setting, the model's context and the job's money bound the sources.
func TestRoom(t *testing.T) {
	t.Parallel()
	plain := func(*event.GenerateJob) {}
	for _, tc := range []struct {
		name    string
		setting int
		job     func(*event.GenerateJob)
		want    int
	}{
		{"setting", 4096, plain, 4096},
		{"context", 4096, func(j *event.GenerateJob) { j.Model = "narrow" }, 900 - 266 - 500},
		{"context, the job's own answer", 4096, func(j *event.GenerateJob) { j.Model, j.MaxTokens = "narrow", 100 }, 900 - 266 - 100},
		{"context, setting", 50, func(j *event.GenerateJob) { j.Model = "narrow" }, 50},
		{"context too small", 4096, func(j *event.GenerateJob) { j.Model, j.MaxTokens = "narrow", 900 }, 0},
		// 10 for a token of the answer, 2 of the prompt; 80 are spent.
		{"money", 4096, func(j *event.GenerateJob) { j.Model, j.MaxTokens, j.MaxCostNanoUSD = "narrow", 10, 80+100+2*300 }, 300 - 266},
		{"no money", 4096, func(j *event.GenerateJob) { j.Model, j.MaxTokens, j.MaxCostNanoUSD = "narrow", 10, 81 }, 0},
		{"much money", 4096, func(j *event.GenerateJob) { j.MaxCostNanoUSD = 1 << 62 }, 4096},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &Service{cfg: DefaultConfig(), ports: Ports{Catalog: models(t, text)}}
			s.p.Now = time.Now
			s.cfg.ContextTokens = tc.setting
			job := question("0123456789012345678901234567890123456789") // 10 tokens
			tc.job(&job)
			task := event.GenerateTask{Messages: job.Messages}
			task.Receipt.Add(event.Attempt{CostNanoUSD: 80})
			w, err := s.way(job.Model, "")
			if err != nil {
				t.Fatal(err)
			}
			if got := s.room(w, &job, &task); got != tc.want {
				t.Errorf("room for %d tokens, want %d", got, tc.want)
			}
		})
	}
}
