// Package chaos kills the processes of a working Weir, one after the other, and
// checks the promises: nothing is lost and nothing is delivered twice.
package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

const tenant = "chaos"

// timeLimit bounds a run. A worker's messages come back when its AckWait is
// over, so a run is never shorter than that.
const timeLimit = 4 * bus.AckWait

// TestEveryJobEndsOnce submits jobs while each process in turn is killed and
// started again. Set WEIR_CHAOS_SEED to repeat a run's kills, WEIR_CHAOS_JOBS
// for another number of jobs.
func TestEveryJobEndsOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("CHAOS NOT RUN: -short skips the tests that kill processes at work")
	}
	seed := setting(t, "WEIR_CHAOS_SEED", uint64(time.Now().UnixNano()))
	jobs := int(setting(t, "WEIR_CHAOS_JOBS", 500))
	t.Logf("WEIR_CHAOS_SEED=%d WEIR_CHAOS_JOBS=%d", seed, jobs)
	random := rand.New(rand.NewPCG(seed, seed))

	sys := system.Start(t, system.Options{Mode: system.Separate, SimArgs: []string{"--ttft", "100ms", "--per-token", "8ms"}, Env: policies(t)})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	c := sys.Client(t)
	prepare(ctx, t, c)
	plan := workload(random, jobs)
	w := watch(t, sys, plan)

	start := time.Now()
	var submitting sync.WaitGroup
	submitting.Go(func() { submit(ctx, t, c, plan) })
	for _, k := range kills(random, jobs) {
		w.await(ctx, k.after)
		t.Logf("%5.1fs, %d results: killing %s", time.Since(start).Seconds(), k.after, k.name)
		sys.Restart(k.name)
	}
	submitting.Wait()
	w.await(ctx, jobs)
	t.Logf("%5.1fs, %d results", time.Since(start).Seconds(), jobs)
	w.awaitEmptyQueues(ctx)
	t.Logf("%5.1fs, queues are empty", time.Since(start).Seconds())
	w.check(ctx, plan)
}

// tasks are those of the policies: one whose answers are escalated every other time
// and compared, and one whose identical jobs share a call.
var tasks = []string{"", "escalated", "shared"}

// policies is the setting that names a file with them.
func policies(t *testing.T) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	text := `version: 1
reference: large
tasks:
  - {task: default, chain: [small]}
  - {task: escalated, chain: [small, large], accept: {tau: 0.86, verify: [citations]}}
  - {task: shared, chain: [small], cache: {exact: 2s}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"WEIR_POLICIES": file}
}

// setting reads a number from the environment of the test.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: got %q, want a number", name, text)
	}
	return n
}

// kill is one event of the run: when that many results are there, the process
// is killed and started again.
type kill struct {
	name  string
	after int
}

// kills spreads one kill of each service and of NATS over the first two thirds
// of the jobs, in random order.
func kills(random *rand.Rand, jobs int) []kill {
	names := append(system.Services(), "nats")
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	step := max(1, 2*jobs/3/len(names))
	plan := make([]kill, len(names))
	for i, name := range names {
		plan[i] = kill{name, min(jobs, i*step+1+random.IntN(step))}
	}
	return plan
}

// facts are the documents' contents: a question and what its answer must hold.
var facts = []struct{ section, text, question, answer string }{
	{"Opening hours", "The harbour office opens at seven in the morning and closes at nine in the evening.",
		"When does the harbour office open?", "seven in the morning"},
	{"Fees", "A berth costs forty euros per night for boats up to ten metres.",
		"How much does a berth cost per night?", "forty euros"},
	{"Club", "The sailing club meets on Tuesday in the boat house.",
		"When does the sailing club meet?", "Tuesday"},
	{"Keys", "The deposit for a gate key is fifty euros.",
		"How much is the deposit for a gate key?", "fifty euros"},
}

const collection = "handbook"

// prepared is the job that stores them.
const prepared = "prepare"

// prepare stores the documents that the questions are about.
func prepare(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	text := "# Handbook\n"
	for _, f := range facts {
		text += "\n## " + f.section + "\n\n" + f.text + "\n"
	}
	id, err := c.Ingest(ctx, tenant, event.IngestJob{Envelope: event.Envelope{ID: prepared}, Collection: collection,
		Document: event.Document{ID: "handbook", Source: "handbook.md", Text: text}})
	if err != nil {
		t.Fatalf("submitting: %v", err)
	}
	if result, err := c.Await(ctx, tenant, id); err != nil || result.Status != event.StatusOK {
		t.Fatalf("preparing: %+v, %v", result, err)
	}
}

// job is one job of the workload: a document or a question.
type job struct {
	ingest   *event.IngestJob
	generate *event.GenerateJob
	answer   string // what the answer must hold
}

// workload makes one document in eight jobs and questions of the rest, on both
// lanes.
func workload(random *rand.Rand, n int) map[string]job {
	jobs := make(map[string]job, n)
	for i := range n {
		id := fmt.Sprintf("job-%04d", i)
		env := event.Envelope{ID: id, Lane: event.Lanes()[random.IntN(2)]}
		if random.IntN(8) == 0 {
			jobs[id] = job{ingest: &event.IngestJob{Envelope: env, Collection: "more", Document: event.Document{
				ID: id, Source: id + ".md", Text: fmt.Sprintf("# Note %d\n\n## First\n\nCrate %d is blue.\n\n## Second\n\nIt weighs %d kilograms.\n", i, i, 3*i)}}}
			continue
		}
		f := facts[random.IntN(len(facts))]
		jobs[id] = job{answer: f.answer, generate: &event.GenerateJob{Envelope: env, Stream: true, Task: tasks[random.IntN(len(tasks))],
			Messages: []event.Message{{Role: "user", Content: f.question}}, RAG: &event.RAG{Collection: collection}}}
	}
	return jobs
}

// submit submits all jobs, each until it is stored: an id is one job however
// often it is submitted.
func submit(ctx context.Context, t *testing.T, c *client.Client, jobs map[string]job) {
	pending := make(chan job)
	var submitters sync.WaitGroup
	for range 4 {
		submitters.Go(func() {
			for j := range pending {
				if err := j.submit(ctx, c); err != nil {
					t.Errorf("submitting: %v", err)
				}
			}
		})
	}
	for _, id := range slices.Sorted(maps.Keys(jobs)) {
		pending <- jobs[id]
	}
	close(pending)
	submitters.Wait()
}

func (j job) submit(ctx context.Context, c *client.Client) error {
	for {
		var err error
		trying, cancel := context.WithTimeout(ctx, 2*time.Second)
		if j.ingest != nil {
			_, err = c.Ingest(trying, tenant, *j.ingest)
		} else {
			_, err = c.Generate(trying, tenant, *j.generate)
		}
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}
