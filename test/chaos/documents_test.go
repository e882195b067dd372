package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/system"
)

// The documents' test: documents get new versions and are deleted, over and over,
// while the ingestor and the embedder are killed in the middle of it. Readers ask
// all the time. Each answer must be of one version, and in the end the store must
// hold the chunks of the last ones and nothing else.

const (
	documents = 16
	parts     = 10 // a document has some of these
	variants  = 4  // of each part's text
	plans     = "plans"
)

// library is what was submitted.
type library struct {
	t      *testing.T
	client *client.Client
	seed   uint64

	mu       sync.Mutex
	versions [documents][]map[int]bool // figures of each version from 1; nil is a delete
	ended    [documents]int            // the last version that is known to have become current
	open     int                       // jobs without a result
	outcomes map[event.Outcome]int
}

// figure is the number by which a part's text is known.
func figure(part, variant int) int { return part*variants + variant }

// content is a version's text and figures; a nil map is a delete.
func content(random *rand.Rand, document int) (string, map[int]bool) {
	if random.IntN(6) == 0 {
		return "", nil
	}
	var text strings.Builder
	figures := map[int]bool{}
	for part := range parts {
		if random.IntN(3) == 0 {
			continue
		}
		f := figure(part, random.IntN(variants))
		figures[f] = true
		fmt.Fprintf(&text, "## Part %d\n\nThe lantern of plan %d has figure %d.\n\n", part, document, f)
	}
	if len(figures) == 0 {
		return "", nil
	}
	return text.String(), figures
}

// write submits versions of one document, up to two at a time, until ctx ends.
func (l *library) write(ctx context.Context, document int) {
	random := rand.New(rand.NewPCG(l.seed, uint64(document)))
	name := fmt.Sprint("plan-", document)
	slots := make(chan struct{}, 2)
	var waiting sync.WaitGroup
	defer waiting.Wait()
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		text, figures := content(random, document)
		l.mu.Lock()
		l.versions[document] = append(l.versions[document], figures)
		version := len(l.versions[document])
		l.open++
		l.mu.Unlock()
		id := l.submit(name, text, version, event.Lanes()[random.IntN(2)])
		waiting.Go(func() {
			l.await(id, document, version)
			<-slots
		})
	}
}

// submit submits a version until it is stored; an id is one job.
func (l *library) submit(name, text string, version int, lane event.Lane) string {
	env := event.Envelope{ID: fmt.Sprintf("%s-%d", name, version), Lane: lane}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		var err error
		if text == "" {
			_, err = l.client.Delete(ctx, tenant, event.DeleteJob{Envelope: env, Collection: plans, Document: name, Version: int64(version)})
		} else {
			_, err = l.client.Ingest(ctx, tenant, event.IngestJob{Envelope: env, Collection: plans, Document: event.Document{
				ID: name, Source: name + ".md", Title: name, Text: text, Version: int64(version), Metadata: map[string]string{"plan": name}}})
		}
		cancel()
		if err == nil {
			return env.ID
		}
	}
}

// await waits for a version's result.
func (l *library) await(id string, document, version int) {
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	defer cancel()
	result, err := l.client.Await(ctx, tenant, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if err != nil || result.Status != event.StatusOK || result.Ingested == nil {
		l.t.Errorf("job %s: %+v (%v), %v", id, result, result.Error, err)
		return
	}
	l.outcomes[result.Ingested.Outcome]++
	if result.Ingested.Outcome != event.OutcomeSuperseded { // by one that may still be pending
		l.ended[document] = max(l.ended[document], version)
	}
}

var figureOf = regexp.MustCompile(`has figure (\d+)\.`)

// readers counts what readers saw.
type readers struct{ whole, part, nothing, failed atomic.Int64 }

// read asks for documents until ctx ends.
func (l *library) read(ctx context.Context, random *rand.Rand, seen *readers) {
	for ctx.Err() == nil {
		document := random.IntN(documents)
		l.mu.Lock()
		least := l.ended[document]
		l.mu.Unlock()
		hits, err := l.ask(ctx, document)
		if err != nil {
			seen.failed.Add(1)
			continue
		}
		l.judge(document, least, hits, seen)
	}
}

func (l *library) ask(ctx context.Context, document int) ([]event.QueryHit, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	reply, err := l.client.Query(ctx, tenant, event.QueryRequest{Text: "lantern figure plan", RAG: event.RAG{
		Collection: plans, TopK: 40, Filter: map[string]string{"plan": fmt.Sprint("plan-", document)}}})
	if err != nil && event.AsError(err).Field == "rag.collection" {
		return nil, nil // nothing is stored yet
	}
	return reply.Hits, err
}

// judge checks one answer: all of one version, and none before the last one that
// had its result when the question was asked.
func (l *library) judge(document, least int, hits []event.QueryHit, seen *readers) {
	l.mu.Lock()
	versions := slices.Clone(l.versions[document])
	l.mu.Unlock()
	if len(hits) == 0 {
		seen.nothing.Add(1)
		if least > 0 && !slices.ContainsFunc(versions[least-1:], func(f map[int]bool) bool { return f == nil }) {
			seen.part.Add(1)
		}
		return
	}
	version := int(hits[0].Version)
	if version < least || version > len(versions) {
		l.t.Errorf("plan %d: an answer of version %d, when %d had its result and %d were submitted", document, version, least, len(versions))
		return
	}
	want := versions[version-1]
	found := map[int]bool{}
	for _, h := range hits {
		m := figureOf.FindStringSubmatch(h.Text)
		if m == nil {
			l.t.Errorf("plan %d: a passage without a figure: %q", document, h.Text)
			return
		}
		f, _ := strconv.Atoi(m[1]) //nolint:errcheck // digits
		if int(h.Version) != version || !want[f] || found[f] {
			l.t.Errorf("plan %d: figure %d of version %d beside version %d, whose figures are %v (twice: %t)",
				document, f, h.Version, version, slices.Sorted(maps.Keys(want)), found[f])
			return
		}
		found[f] = true
	}
	if len(found) == len(want) {
		seen.whole.Add(1)
	} else {
		seen.part.Add(1)
	}
}

// TestNoVersionIsEverMixed cuts the workers off WEIR_CHAOS_CUTS times (WEIR_CHAOS_SEED
// repeats a run's contents and cuts).
func TestNoVersionIsEverMixed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("CUTS NOT RUN: -short skips the tests that kill processes at work")
	}
	seed := setting(t, "WEIR_CHAOS_SEED", uint64(time.Now().UnixNano()))
	cuts := int(setting(t, "WEIR_CHAOS_CUTS", 40))
	t.Logf("WEIR_CHAOS_SEED=%d WEIR_CHAOS_CUTS=%d", seed, cuts)
	sys := system.Start(t, system.Options{Mode: system.Separate, Env: map[string]string{
		"WEIR_INGESTOR_ACK_WAIT": "1500ms", "WEIR_EMBEDDER_ACK_WAIT": "1500ms",
		"WEIR_INGESTOR_MAX_DELIVERIES": "100000", "WEIR_EMBEDDER_MAX_DELIVERIES": "100000", "WEIR_LOG_LEVEL": "error"}})
	l := &library{t: t, client: sys.Client(t), seed: seed, outcomes: map[event.Outcome]int{}}
	writing, stop := context.WithCancel(t.Context())
	reading, stopReading := context.WithCancel(t.Context())
	defer stopReading()
	var writers, asking sync.WaitGroup
	for d := range documents {
		writers.Go(func() { l.write(writing, d) })
	}
	var seen readers
	for r := range 3 {
		asking.Go(func() { l.read(reading, rand.New(rand.NewPCG(seed, uint64(100+r))), &seen) })
	}
	l.cut(sys, rand.New(rand.NewPCG(seed, 1000)), cuts)
	stop()
	writers.Wait()
	stopReading()
	asking.Wait()
	t.Logf("outcomes %v; answers: %d whole, %d in part, %d empty, %d failed", l.outcomes, seen.whole.Load(), seen.part.Load(), seen.nothing.Load(), seen.failed.Load())
	if whole, part := seen.whole.Load(), seen.part.Load(); whole < 10 || 20*part > whole {
		t.Errorf("%d whole answers and %d in part, want many and few", whole, part)
	}
	l.end()
}

// cut kills one of the workers at random moments, as soon as it works again.
func (l *library) cut(sys *system.System, random *rand.Rand, cuts int) {
	inWork := 0
	for n := range cuts {
		name := []string{"embedder", "ingestor"}[random.IntN(3)/2] // the embedder twice as often
		sys.Processes[name].AwaitStatus(sys.Health[name]+"/readyz", 200)
		moment := time.NewTimer(time.Duration(random.IntN(250)) * time.Millisecond)
		select {
		case <-moment.C:
		case <-l.t.Context().Done():
			return
		}
		l.mu.Lock()
		if l.open > 0 {
			inWork++
		}
		l.mu.Unlock()
		sys.Restart(name)
		if (n+1)%100 == 0 {
			l.t.Logf("%d cuts", n+1)
		}
	}
	l.t.Logf("%d of %d cuts came while jobs were in work", inWork, cuts)
}

// end checks what is left when all jobs have their results.
func (l *library) end() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), timeLimit)
	defer cancel()
	want := 0
	for d := range documents {
		last := len(l.versions[d])
		figures := l.versions[d][last-1]
		want += len(figures)
		hits, err := l.ask(ctx, d)
		if err != nil || len(hits) != len(figures) {
			l.t.Errorf("plan %d: %d passages, %v; want the %d of version %d", d, len(hits), err, len(figures), last)
		}
		var seen readers
		l.judge(d, last, hits, &seen)
	}
	id, err := l.client.Verify(ctx, tenant, event.VerifyJob{})
	if err != nil {
		l.t.Fatal(err)
	}
	result, err := l.client.Await(ctx, tenant, id)
	if err != nil || result.Verified == nil {
		l.t.Fatalf("verifying: %+v, %v", result, err)
	}
	if v := result.Verified; !v.OK() || v.Points != want {
		l.t.Errorf("verified %+v, want %d points and nothing wrong", *v, want)
	}
	l.t.Logf("%d versions of %d documents; %d points", total(l.versions[:]), documents, result.Verified.Points)
}

func total(versions [][]map[int]bool) int {
	n := 0
	for _, v := range versions {
		n += len(v)
	}
	return n
}
