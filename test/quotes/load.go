package quotes

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
)

// catalogText has three models whose prices are far apart.
const catalogText = `version: 1
providers:
  - {id: sim, base_url: %q, dialect: sim}
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}],
     supports: {json_schema: strict, logprobs: true}, fallback: [large]}
  - {id: medium, provider: sim, upstream: sim-medium, mode: chat, price: [{input: 800, output: 3200}], supports: {json_schema: strict, logprobs: true}}
  - {id: large, provider: sim, upstream: sim-large, mode: chat, price: [{input: 2500, output: 10000}], supports: {json_schema: strict, logprobs: true}}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 1024, stand_in: true, price: [{input: 20}]}
`

// policies have a task whose small model is trusted with what it is sure of.
const policies = `version: 1
reference: large
audit: {rate: 0}
tasks:
  - {task: quiz, chain: [small, large], accept: {tau: 0.8}}
`

const collection = "bridges"

func tenants() []string { return []string{"acme", "globex"} }

// job is one of the load.
type job struct {
	event.GenerateJob
	kind, tenant string
}

// load are jobs of several kinds, in random order, with answers of random length.
type load struct {
	rnd       *rand.Rand
	jobs      []job
	gold      []llmsim.Gold
	documents []string
}

// documents is how many there are, each about one bridge.
const documents = 30

func newLoad(n int) *load {
	l := &load{rnd: rand.New(rand.NewPCG(7, 11))} //nolint:gosec // the same load each time
	for i := range documents {
		l.documents = append(l.documents, fmt.Sprintf("# The bridge of Town%02d\n\nThe bridge of Town%02d was built in %d by Mason%02d. %s It has %d arches.\n",
			i, i, 1500+13*i, i, l.words(30+l.rnd.IntN(60)), 2+i%9))
	}
	kinds := []func(int) job{l.plain, l.long, l.short, l.rag, l.schema, l.quiz}
	for i := range n {
		j := kinds[l.rnd.IntN(len(kinds))](i)
		j.V, j.tenant = event.Version, tenants()[0]
		if l.rnd.Float64() < 0.2 {
			j.tenant = tenants()[1]
		}
		l.jobs = append(l.jobs, j)
	}
	return l
}

// sim is a provider that knows the answers.
func (l *load) sim() llmsim.Config {
	cfg := llmsim.DefaultConfig()
	cfg.ChatModels = []string{"sim-small", "sim-medium", "sim-large"}
	cfg.Answers = llmsim.Answers{Seed: 5, Gold: l.gold, Difficulty: &llmsim.Difficulty{Skill: map[string]float64{"sim-small": 0.55}, AUROC: 0.95}}
	return cfg
}

// spread is that of the logarithm of an answer's length, about as chat models have it
// for questions of one kind.
const spread = 0.4

// length is a random one with a median.
func (l *load) length(median float64) int {
	return max(1, int(median*math.Exp(spread*l.rnd.NormFloat64())))
}

func (l *load) words(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = vocabulary[l.rnd.IntN(len(vocabulary))]
	}
	return strings.Join(words, " ") + "."
}

//nolint:gochecknoglobals // a constant list
var vocabulary = strings.Fields(`water stone river arch mortar timber iron scaffold flood pier span road market toll
	winter summer guild quarry rope crane boat bank tower gate wall hill valley field mill bell`)

// asked is a job with a question whose answer has about so many words, after a
// context of up to so many.
func (l *load) asked(i int, kind string, words float64, context int) job {
	question := fmt.Sprintf("What is told of item %05d of the %s list?", i, kind)
	l.gold = append(l.gold, llmsim.Gold{Question: question, Answer: l.words(l.length(words)), Wrong: []string{l.words(l.length(words)), l.words(l.length(words))}})
	cold := 0.0
	return job{kind: kind, GenerateJob: event.GenerateJob{Temperature: &cold, Messages: []event.Message{
		{Role: "system", Content: l.words(1 + l.rnd.IntN(context))}, {Role: "user", Content: question}}}}
}

func (l *load) plain(i int) job {
	j := l.asked(i, "plain", 80, 600)
	j.Model = "small"
	return j
}

func (l *load) long(i int) job {
	j := l.asked(i, "long", 220, 200)
	j.Model, j.MaxTokens = "large", 600
	return j
}

func (l *load) short(i int) job {
	j := l.asked(i, "short", 60, 100)
	j.Model, j.MaxTokens = "medium", 40
	return j
}

func (l *load) rag(int) job {
	town := l.rnd.IntN(documents)
	question := []string{"Who built the bridge of Town%02d?", "How many arches has the bridge of Town%02d?", "In which year was the bridge of Town%02d built?"}[l.rnd.IntN(3)]
	return job{kind: "rag", GenerateJob: event.GenerateJob{Model: "medium", RAG: &event.RAG{Collection: collection, TopK: []int{3, 6}[l.rnd.IntN(2)]},
		Messages: []event.Message{{Role: "user", Content: fmt.Sprintf(question, town)}}}}
}

func (l *load) schema(i int) job {
	j := l.asked(i, "schema", 25, 300)
	j.Model = "small"
	j.Schema = json.RawMessage(`{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"],"additionalProperties":false}`)
	return j
}

func (l *load) quiz(i int) job {
	j := l.asked(i, "quiz", 40, 200)
	j.Task = "quiz"
	return j
}
