package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

// maxPassages bounds one request for reranking.
const maxPassages = 1000

// Reranker is what is needed of the guard.
type Reranker interface {
	Rerank(ctx context.Context, c guard.Call, req llm.RerankRequest) (llm.RerankResponse, guard.Report, error)
}

// Catalog is a catalog that may change.
type Catalog interface {
	guard.Catalog
	// Changed is closed when the catalog that is current now is replaced.
	Changed() <-chan struct{}
}

// Rerankers answers requests for reranking, on a subject for each rerank model of
// the catalog.
type Rerankers struct {
	NC       *nats.Conn
	Catalog  Catalog
	Reranker Reranker
	// Timeout bounds the work on one request, the wait for the limits included.
	Timeout time.Duration
	// Calls is how many calls are made at once for each model.
	Calls  int
	Logger *slog.Logger
}

// Start serves until the returned function is called, which waits for the requests
// in work. Models that come and go in the catalog come and go here.
func (r *Rerankers) Start() (stop func(), err error) {
	served := map[string]func(){} // by model, what stops it
	changed := r.Catalog.Changed()
	if err := r.follow(served); err != nil {
		end(served)
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() {
		defer end(served)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			changed = r.Catalog.Changed()
			if err := r.follow(served); err != nil {
				r.Logger.Error("a rerank model of the new catalog is not served", "error", err)
			}
		}
	})
	return sync.OnceFunc(func() {
		cancel()
		following.Wait()
	}), nil
}

// follow serves the models of the current catalog, and no others.
func (r *Rerankers) follow(served map[string]func()) error {
	gone := maps.Clone(served)
	var failed error
	for _, m := range r.Catalog.Current().RerankModels() {
		delete(gone, m.ID)
		if served[m.ID] != nil {
			continue
		}
		stop, err := r.serve(m.ID)
		if err != nil {
			failed = err
			continue
		}
		served[m.ID] = stop
	}
	end(gone)
	for id := range gone {
		delete(served, id)
	}
	return failed
}

// end stops them all, side by side.
func end(stops map[string]func()) {
	var ending sync.WaitGroup
	for _, stop := range stops {
		ending.Go(stop)
	}
	ending.Wait()
}

func (r *Rerankers) serve(model string) (stop func(), err error) {
	w := &reranking{r: r, model: model, calls: make(chan struct{}, r.Calls)}
	s := &server{nc: r.NC, subject: event.RerankRPC(model), timeout: r.Timeout,
		sign: event.RerankReply{V: event.Version, Working: true}, answer: w.answer}
	return s.start()
}

// reranking is the work of one model.
type reranking struct {
	r     *Rerankers
	model string
	calls chan struct{} // one each
}

func (w *reranking) answer(ctx context.Context, data []byte) any {
	reply := event.RerankReply{V: event.Version}
	if err := w.rerank(ctx, data, &reply); err != nil {
		reply.Failure = event.FailureOf(err)
	}
	return reply
}

// rerank scores the passages, in as many calls as the model needs: each score is of
// one passage, whichever others it is sent with. The first error ends them all.
func (w *reranking) rerank(ctx context.Context, data []byte, reply *event.RerankReply) error {
	request, err := event.Decode[event.RerankRequest](data)
	if err != nil {
		return err
	}
	switch n := len(request.Passages); {
	case request.Query == "":
		return event.Invalid("query", "send the question", "missing")
	case n == 0 || n > maxPassages:
		return event.Invalid("passages", fmt.Sprintf("send 1 to %d", maxPassages), "got %d", n)
	}
	m, _ := w.r.Catalog.Current().Model(w.model) // one that is gone is refused by the guard
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	scores := make([]float64, len(request.Passages))
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, p := range parts(m, &request) {
		calls.Go(func() {
			resp, cost, err := w.call(ctx, request.Query, request.Passages[p.from:p.to])
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, s := range resp.Results {
				scores[p.from+s.Index] = s.Score
			}
			reply.Tokens += resp.Usage.PromptTokens
			reply.CostNanoUSD += cost
		})
	}
	calls.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("reranking with %s: %w", w.model, err)
	}
	reply.Scores = scores
	return nil
}

// part is the passages of one call.
type part struct{ from, to int }

// parts are the calls for a request.
func parts(m catalog.Model, request *event.RerankRequest) []part {
	limits := batch.Limits{}.Of(m)
	query := batch.SizeOf(request.Query, 0) // is read with each passage
	var out []part
	for from := 0; from < len(request.Passages); {
		n, _ := limits.Fill(len(request.Passages)-from, func(i int) batch.Size {
			s := batch.SizeOf(request.Passages[from+i], 0)
			s.Tokens += query.Tokens
			return s
		})
		out = append(out, part{from, from + n})
		from += n
	}
	return out
}

// call makes one call, as one of so many at once, and returns what it cost.
func (w *reranking) call(ctx context.Context, query string, passages []string) (llm.RerankResponse, int64, error) {
	select {
	case w.calls <- struct{}{}:
		defer func() { <-w.calls }()
	case <-ctx.Done():
		return llm.RerankResponse{}, 0, context.Cause(ctx)
	}
	resp, report, err := w.r.Reranker.Rerank(ctx, guard.Call{
		Lane: event.LaneInteractive, Model: w.model, Attempts: guard.DefaultAttempts,
	}, llm.RerankRequest{Query: query, Documents: passages})
	if err != nil {
		return llm.RerankResponse{}, 0, err
	}
	if len(resp.Results) != len(passages) {
		return llm.RerankResponse{}, 0, event.Errorf(event.ClassInternal, "%d scores for %d passages", len(resp.Results), len(passages))
	}
	return resp, report.CostNanoUSD(), nil
}
