// Package quotes measures how good quotes are: a whole Weir in this process answers
// mixed jobs over HTTP, each of which was quoted before.
package quotes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// Config says what to measure.
type Config struct {
	// Dir keeps the data.
	Dir string
	// QdrantAddr is a free address.
	QdrantAddr string
	// Warm is how many jobs are answered before, Jobs how many are measured.
	Warm, Jobs int
	// Parallel is how many jobs are in flight at once.
	Parallel int
}

// Measured is what came of it.
type Measured struct {
	Jobs int
	// Covered is the share of jobs whose cost lay in the quote; Error the median of
	// how far the likely cost was off, relative to the cost; Learned the share of
	// quotes that were made of jobs like theirs.
	Covered, Error, Learned float64
	// Width is the median of high over low.
	Width float64
	// Kinds are the figures by kind of job.
	Kinds map[string]Kind
}

// Kind are the figures of one kind of job.
type Kind struct {
	Jobs           int
	Covered, Error float64
	median         []float64
}

// Measure runs Weir, has it answer jobs, and compares the quotes of the latter ones
// with what they cost.
func Measure(ctx context.Context, cfg Config) (out Measured, err error) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	load := newLoad(cfg.Warm + cfg.Jobs)
	sim, err := llmsim.New(load.sim())
	if err != nil {
		return out, err
	}
	simEnded := make(chan error, 1)
	running.Go(func() { simEnded <- sim.Run(ctx) })
	select {
	case <-sim.Ready():
	case err := <-simEnded:
		return out, fmt.Errorf("starting the simulator: %w", err)
	}
	r, err := start(ctx, &running, cfg, fmt.Sprintf(catalogText, sim.URL()))
	if err != nil {
		return out, err
	}
	if err := r.ingest(ctx, load); err != nil {
		return out, err
	}
	if _, err := r.all(ctx, cfg.Parallel, load.jobs[:cfg.Warm]); err != nil {
		return out, fmt.Errorf("warming up: %w", err)
	}
	answered, err := r.all(ctx, cfg.Parallel, load.jobs[cfg.Warm:])
	if err != nil {
		return out, err
	}
	return measured(answered), nil
}

// rig is a running Weir.
type rig struct {
	client *client.Client
	url    string
}

// drain is how long what is in work may finish when the measuring is over.
const drain = time.Second

// start runs Weir with a catalog until ctx ends.
func start(ctx context.Context, running *sync.WaitGroup, m Config, catalog string) (*rig, error) {
	cfg := up.DefaultConfig(m.Dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr, cfg.QdrantAddr = "", "", "127.0.0.1:0", m.QdrantAddr
	for name, file := range map[string]struct {
		to   *string
		text string
	}{"catalog.yaml": {&cfg.Process.Catalog, catalog}, "policies.yaml": {&cfg.Process.Policies, policies}} {
		*file.to = filepath.Join(m.Dir, name)
		if err := os.WriteFile(*file.to, []byte(file.text), 0o600); err != nil {
			return nil, fmt.Errorf("writing the %s: %w", name, err)
		}
	}
	cfg.Generator.DrainTimeout, cfg.Router.DrainTimeout, cfg.Gateway.DrainTimeout = drain, drain, drain
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	ready, ended := make(chan up.System, 1), make(chan error, 1)
	running.Go(func() { ended <- up.Run(ctx, cfg, log, func(s up.System) { ready <- s }) })
	select {
	case system := <-ready:
		c, err := client.New(system.Conn)
		return &rig{c, "http://" + system.APIAddr}, err
	case err := <-ended:
		return nil, fmt.Errorf("starting Weir: %w", err)
	}
}

// ingest stores the documents that questions are about.
func (r *rig) ingest(ctx context.Context, l *load) error {
	for _, tenant := range tenants() {
		for i, text := range l.documents {
			id, err := r.client.Ingest(ctx, tenant, event.IngestJob{Collection: collection, Document: event.Document{ID: fmt.Sprint("d", i), Text: text}})
			if err != nil {
				return err
			}
			result, err := r.client.Await(ctx, tenant, id)
			if err == nil && result.Status != event.StatusOK {
				err = result.Error
			}
			if err != nil {
				return fmt.Errorf("storing document %d: %w", i, err)
			}
		}
	}
	return nil
}

// answer is a job with its quote and its cost.
type answer struct {
	kind              string
	low, likely, high int64
	cost              int64
	learned           bool
}

// all quotes and submits jobs, so many at once, and waits for their results.
func (r *rig) all(ctx context.Context, parallel int, jobs []job) ([]answer, error) {
	out, errs := make([]answer, len(jobs)), make([]error, len(jobs))
	free := make(chan struct{}, parallel)
	var work sync.WaitGroup
	for i := range jobs {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			out[i], errs[i] = r.one(ctx, &jobs[i])
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err // the others are much the same
		}
	}
	return out, nil
}

// quoted is the part of a quote that is measured.
type quoted struct {
	Cost struct {
		Low    int64 `json:"low"`
		Likely int64 `json:"likely"`
		High   int64 `json:"high"`
	} `json:"cost_nano_usd"`
	LearnedFrom int `json:"learned_from"`
}

func (r *rig) one(ctx context.Context, j *job) (answer, error) {
	var q quoted
	if err := r.call(ctx, http.MethodPost, "/v1/jobs?dry_run=true", j, &q); err != nil {
		return answer{}, err
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := r.call(ctx, http.MethodPost, "/v1/jobs", j, &accepted); err != nil {
		return answer{}, err
	}
	result, err := r.client.Await(ctx, j.tenant, accepted.ID)
	if err != nil {
		return answer{}, err
	}
	if result.Status != event.StatusOK {
		return answer{}, fmt.Errorf("job of kind %s: %w", j.kind, result.Error)
	}
	return answer{j.kind, q.Cost.Low, q.Cost.Likely, q.Cost.High, result.Receipt.CostNanoUSD, q.LearnedFrom > 0}, nil
}

// call makes a request as the tenant of a job, with the job as its body, and decodes
// the answer.
func (r *rig) call(ctx context.Context, method, path string, j *job, into any) error {
	body, err := json.Marshal(j.GenerateJob)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Weir-Tenant", j.tenant)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, data)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// measured compares quotes with costs.
func measured(answers []answer) Measured {
	m := Measured{Jobs: len(answers), Kinds: map[string]Kind{}}
	var off, widths []float64
	for _, a := range answers {
		k := m.Kinds[a.kind]
		k.Jobs++
		if a.low <= a.cost && a.cost <= a.high {
			m.Covered++
			k.Covered++
		}
		if a.learned {
			m.Learned++
		}
		e := math.Abs(float64(a.likely-a.cost)) / math.Max(float64(a.cost), 1)
		off, k.median = append(off, e), append(k.median, e)
		widths = append(widths, float64(a.high)/math.Max(float64(a.low), 1))
		m.Kinds[a.kind] = k
	}
	n := float64(len(answers))
	m.Covered, m.Learned, m.Error, m.Width = m.Covered/n, m.Learned/n, median(off), median(widths)
	for name, k := range m.Kinds {
		k.Covered, k.Error = k.Covered/float64(k.Jobs), median(k.median)
		m.Kinds[name] = k
	}
	return m
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
