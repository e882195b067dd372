package qdrantd_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"sync"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

// sparseConfig is a collection "c" with an unnamed dense vector and two sparse
// ones.
func sparseConfig() *pb.CreateCollection {
	return &pb.CreateCollection{
		CollectionName: "c", VectorsConfig: pb.NewVectorsConfig(&pb.VectorParams{Size: 1, Distance: pb.Distance_Dot}),
		SparseVectorsConfig: pb.NewSparseVectorsConfig(map[string]*pb.SparseVectorParams{"s": {Modifier: pb.Modifier_Idf.Enum()}, "plain": {}}),
	}
}

// sparsePoint makes a point whose sparse vectors hold terms with weights.
func sparsePoint(id uint64, payload map[string]any, terms map[uint32]float32) *pb.PointStruct {
	var indices []uint32
	var values []float32
	for i, w := range terms {
		indices, values = append(indices, i), append(values, w)
	}
	v := map[string]*pb.Vector{"": pb.NewVector(float32(id)), "s": pb.NewVectorSparse(indices, values), "plain": pb.NewVectorSparse(indices, values)}
	return &pb.PointStruct{Id: pb.NewIDNum(id), Vectors: pb.NewVectorsMap(v), Payload: pb.NewValueMap(payload)}
}

// oracle holds what the server must, and ranks it the plain way.
type oracle struct {
	mu     sync.Mutex
	points map[uint64]map[uint32]float32
	group  func(id uint64) int64
}

// rank returns the hits for a query among the points of a group (-1: all).
func (o *oracle) rank(terms map[uint32]float32, group int64, idf bool) []scored {
	weights := map[uint32]float64{}
	for i, w := range terms {
		df := 0.0
		for _, p := range o.points {
			if _, ok := p[i]; ok {
				df++
			}
		}
		weights[i] = float64(w)
		if idf {
			weights[i] *= math.Log((float64(len(o.points))-df+0.5)/(df+0.5) + 1)
		}
	}
	var out []scored
	for id, p := range o.points {
		sum := 0.0
		for i, w := range weights {
			sum += w * float64(p[i])
		}
		if sum != 0 && (group < 0 || o.group(id) == group) {
			out = append(out, scored{id, sum})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].score > out[j].score })
	return out
}

// wantRanked compares the server's hits with the oracle's, up to ties.
func (o *oracle) wantRanked(t *testing.T, c *pb.Client, rng *rand.Rand) {
	t.Helper()
	for _, using := range []string{"s", "plain"} {
		for group := int64(-1); group < 4; group++ {
			terms := randomTerms(rng, 5)
			q := &pb.QueryPoints{Using: proto.String(using), Limit: proto.Uint64(20), Query: sparseQuery(terms)}
			if group >= 0 {
				q.Filter = must(pb.NewMatchInt("group", group))
			}
			want := o.rank(terms, group, using == "s")
			got := query(t, c, q)
			if len(got) != min(20, len(want)) {
				t.Errorf("%s, group %d: %d hits, want %d of %d", using, group, len(got), min(20, len(want)), len(want))
				continue
			}
			for i, h := range got {
				if math.Abs(float64(h.GetScore())-want[i].score) > 1e-4 {
					t.Errorf("%s, group %d: hit %d has score %v, want %v", using, group, i, h.GetScore(), want[i].score)
				}
			}
		}
	}
}

// randomTerms draws terms, low ones more often.
func randomTerms(rng *rand.Rand, n int) map[uint32]float32 {
	terms := map[uint32]float32{}
	for range n {
		terms[uint32(math.Exp(rng.Float64()*5))] = 0.5 + rng.Float32()
	}
	return terms
}

func sparseQuery(terms map[uint32]float32) *pb.Query {
	var indices []uint32
	var values []float32
	for i, w := range terms {
		indices, values = append(indices, i), append(values, w)
	}
	return pb.NewQuerySparse(indices, values)
}

// TestSparseUnderWrites writes, deletes and searches at once, then compares with
// the oracle, before and after a restart.
func TestSparseUnderWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	addr, stop := qdrantdtest.StartDir(t, dir)
	c := client(t, addr)
	create(t, c, sparseConfig())
	createIndex(t, c, "group", pb.FieldType_FieldTypeInteger)
	// Groups 0, 1, 2 have half, a third and the rest of most; group 3 is rare.
	o := &oracle{points: map[uint64]map[uint32]float32{}, group: func(id uint64) int64 { return groupOf(id) }}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	for w := range uint64(4) {
		wg.Go(func() { o.write(t, c, rand.New(rand.NewPCG(seed, w)), w) })
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 100+w))
			for range 60 {
				query(t, c, &pb.QueryPoints{Using: proto.String("s"), Query: sparseQuery(randomTerms(rng, 8))})
			}
		})
	}
	wg.Wait()
	rng := rand.New(rand.NewPCG(seed, 9))
	for range 10 {
		o.wantRanked(t, c, rng)
	}
	stop()
	addr, _ = qdrantdtest.StartDir(t, dir)
	c = client(t, addr)
	for range 10 {
		o.wantRanked(t, c, rng)
		o.write(t, c, rng, 5) // the index takes changes after it was built from the file
	}
}

func groupOf(id uint64) int64 {
	switch {
	case id%150 == 0:
		return 3
	case id%2 == 0:
		return 0
	}
	return int64(1 + id%3%2)
}

// write changes points of one writer's own.
func (o *oracle) write(t *testing.T, c *pb.Client, rng *rand.Rand, w uint64) {
	for range 12 {
		var batch []*pb.PointStruct
		var gone []*pb.PointId
		o.mu.Lock()
		for range 60 {
			id := w*1000 + rng.Uint64N(400)
			terms := randomTerms(rng, 12)
			o.points[id] = terms
			batch = append(batch, sparsePoint(id, map[string]any{"group": groupOf(id)}, terms))
		}
		for range 10 {
			id := w*1000 + 400 + rng.Uint64N(100)
			delete(o.points, id)
			gone = append(gone, pb.NewIDNum(id))
		}
		for range 10 {
			id := w*1000 + 400 + rng.Uint64N(100)
			terms := randomTerms(rng, 12)
			o.points[id] = terms
			batch = append(batch, sparsePoint(id, map[string]any{"group": groupOf(id)}, terms))
		}
		o.mu.Unlock()
		if _, err := c.Delete(t.Context(), &pb.DeletePoints{CollectionName: "c", Points: pb.NewPointsSelector(gone...)}); err != nil {
			t.Errorf("delete: %v", err)
			return
		}
		if _, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: batch}); err != nil {
			t.Errorf("upsert: %v", err)
			return
		}
	}
}

// TestSparseSnapshots: a writer moves all its points from one term to the next
// in one request, again and again. Whoever asks for all terms at once finds each
// point under exactly one, and all under the same.
func TestSparseSnapshots(t *testing.T) {
	t.Parallel()
	c := setupSparse(t)
	const writers, points, moves = 3, 40, 60
	move := func(w uint64, n int) error {
		var batch []*pb.PointStruct
		for i := range uint64(points) {
			batch = append(batch, sparsePoint(w*1000+i, map[string]any{"group": w}, map[uint32]float32{uint32(100*w + uint64(n%3)): 1, 7: 1}))
		}
		_, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: batch})
		return err
	}
	for w := range uint64(writers) {
		if err := move(w, 0); err != nil {
			t.Fatalf("upsert: %v", err)
		}
	}
	var wg sync.WaitGroup
	for w := range uint64(writers) {
		done := make(chan struct{})
		wg.Go(func() {
			defer close(done)
			for n := range moves {
				if err := move(w, n); err != nil {
					t.Errorf("upsert: %v", err)
				}
			}
		})
		wg.Go(func() {
			for open := true; open; {
				select {
				case <-done:
					open = false
				default:
				}
				wantOneTerm(t, c, w, points)
			}
		})
	}
	wg.Wait()
	if got := query(t, c, &pb.QueryPoints{Using: proto.String("plain"), Query: sparseQuery(map[uint32]float32{7: 1}), Limit: proto.Uint64(1000)}); len(got) != writers*points {
		t.Errorf("%d points in the end, want %d", len(got), writers*points)
	}
}

func setupSparse(t *testing.T) *pb.Client {
	t.Helper()
	c := client(t, qdrantdtest.Start(t))
	create(t, c, sparseConfig())
	return c
}

// wantOneTerm asks for a writer's three terms in one snapshot.
func wantOneTerm(t *testing.T, c *pb.Client, w uint64, points int) {
	batch := &pb.QueryBatchPoints{CollectionName: "c"}
	for n := range uint32(3) {
		batch.QueryPoints = append(batch.QueryPoints, &pb.QueryPoints{CollectionName: "c", Using: proto.String("s"), Limit: proto.Uint64(1000),
			Query: sparseQuery(map[uint32]float32{uint32(100*w) + n: 1})})
	}
	results, err := c.QueryBatch(t.Context(), batch)
	if err != nil {
		t.Errorf("query batch: %v", err)
		return
	}
	var found []int
	sum := 0
	for _, r := range results {
		if n := len(r.GetResult()); n > 0 {
			found = append(found, n)
			sum += n
		}
	}
	if len(found) != 1 || sum != points {
		t.Errorf("writer %d: terms with %v points, want one with %d", w, fmt.Sprint(found), points)
	}
}
