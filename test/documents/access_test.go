package documents

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// stored is a document of the access test.
type stored struct {
	tenant, collection, id string
	acl                    []string
	metadata               map[string]string
}

func (s *stored) readable(tenant string, rag *event.RAG) bool {
	if s.tenant != tenant || s.collection != rag.Collection {
		return false
	}
	for k, v := range rag.Filter {
		if s.metadata[k] != v {
			return false
		}
	}
	return len(s.acl) == 0 || slices.ContainsFunc(s.acl, func(name string) bool { return slices.Contains(rag.Readers, name) })
}

var (
	tenants     = []string{"acme", "umbrella", "initech"}
	collections = []string{"notes", "plans"}
	names       = []string{"ann", "bob", "staff", "board", "a.b\"c"}
	colours     = []string{"red", "green", "blue"}
)

// some picks a few of a list.
func some(random *rand.Rand, list []string, most int) []string {
	out := slices.Clone(list)
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:random.IntN(most+1)]
}

// TestNobodyReadsWhatIsNotTheirs: any tenant, reader and filter gets exactly the
// documents it may read; also after access lists have changed.
func TestNobodyReadsWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	r := start(t)
	random := rand.New(rand.NewPCG(7, 11))
	var docs []*stored
	for i := range 60 {
		docs = append(docs, &stored{
			tenant: tenants[random.IntN(len(tenants))], collection: collections[random.IntN(len(collections))], id: fmt.Sprint("doc-", i),
			acl: some(random, names, 2), metadata: map[string]string{"colour": colours[random.IntN(len(colours))], "odd.key": fmt.Sprint(i % 2)},
		})
	}
	for round := range 3 {
		for _, d := range docs {
			r.ingest(d.tenant, d.collection, event.Document{
				ID: d.id, Title: d.id, ACL: d.acl, Metadata: d.metadata, Text: "The secret of " + d.id + " is a lantern."})
		}
		for range 150 {
			rag := event.RAG{Collection: collections[random.IntN(len(collections))], TopK: 100, Readers: some(random, names, 3)}
			if random.IntN(2) == 0 {
				rag.Filter = map[string]string{"colour": colours[random.IntN(len(colours))]}
			}
			if random.IntN(3) == 0 {
				rag.Filter = map[string]string{"odd.key": fmt.Sprint(random.IntN(2))}
			}
			r.mayRead(tenants[random.IntN(len(tenants))], &rag, docs)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		for _, d := range docs { // other lists from now on
			d.acl = some(random, names, 2)
		}
	}
}

func (r *rig) mayRead(tenant string, rag *event.RAG, docs []*stored) {
	r.t.Helper()
	var want, got []string
	for _, d := range docs {
		if d.readable(tenant, rag) {
			want = append(want, d.id)
		}
	}
	for _, h := range r.ask(tenant, "What is the secret of the lantern?", *rag) {
		got = append(got, h.Document)
		if !strings.Contains(h.Text, h.Document+" is") {
			r.t.Errorf("document %s has the text %q", h.Document, h.Text)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.t.Errorf("tenant %s with %+v reads %v, want %v", tenant, *rag, got, want)
	}
}
