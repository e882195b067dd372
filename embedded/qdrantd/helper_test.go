package qdrantd_test

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
)

// client connects to a server with Qdrant's own client.
func client(t testing.TB, addr string) *pb.Client {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("address %q: %v", addr, err)
	}
	n, _ := strconv.Atoi(port)
	c, err := pb.NewClient(&pb.Config{Host: host, Port: n, PoolSize: 1, SkipCompatibilityCheck: true})
	if err != nil {
		t.Fatalf("new client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// setup starts a server and makes a collection "c" with an unnamed vector.
func setup(t *testing.T, size uint64, d pb.Distance) *pb.Client {
	t.Helper()
	c := client(t, qdrantdtest.Start(t))
	create(t, c, &pb.CreateCollection{CollectionName: "c", VectorsConfig: pb.NewVectorsConfig(&pb.VectorParams{Size: size, Distance: d})})
	return c
}

func create(t *testing.T, c *pb.Client, req *pb.CreateCollection) {
	t.Helper()
	if err := c.CreateCollection(t.Context(), req); err != nil {
		t.Fatalf("create collection: %v", err)
	}
}

// num makes a point with a numeric id.
func num(id uint64, payload map[string]any, v ...float32) *pb.PointStruct {
	return &pb.PointStruct{Id: pb.NewIDNum(id), Vectors: pb.NewVectors(v...), Payload: pb.NewValueMap(payload)}
}

func upsert(t *testing.T, c *pb.Client, points ...*pb.PointStruct) {
	t.Helper()
	if _, err := c.Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Wait: proto.Bool(true), Points: points}); err != nil {
		t.Fatalf("upsert: %v", err)
	}
}

func query(t *testing.T, c *pb.Client, req *pb.QueryPoints) []*pb.ScoredPoint {
	t.Helper()
	req.CollectionName = "c"
	points, err := c.Query(t.Context(), req)
	if err != nil {
		t.Fatalf("query: %v", err)
	}
	return points
}

func count(t *testing.T, c *pb.Client, f *pb.Filter) uint64 {
	t.Helper()
	n, err := c.Count(t.Context(), &pb.CountPoints{CollectionName: "c", Filter: f})
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	return n
}

// get returns the payload of a point, nil when it does not exist.
func get(t *testing.T, c *pb.Client, id uint64) map[string]*pb.Value {
	t.Helper()
	points, err := c.Get(t.Context(), &pb.GetPoints{CollectionName: "c", Ids: []*pb.PointId{pb.NewIDNum(id)}, WithPayload: pb.NewWithPayload(true)})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if len(points) == 0 {
		return nil
	}
	if points[0].GetPayload() == nil {
		return map[string]*pb.Value{}
	}
	return points[0].GetPayload()
}

// ids lists the numeric ids of points.
func ids[P interface{ GetId() *pb.PointId }](points []P) []uint64 {
	out := []uint64{}
	for _, p := range points {
		out = append(out, p.GetId().GetNum())
	}
	return out
}

// scrollIDs lists the ids that match a filter.
func scrollIDs(t *testing.T, c *pb.Client, f *pb.Filter) []uint64 {
	t.Helper()
	points, err := c.Scroll(t.Context(), &pb.ScrollPoints{CollectionName: "c", Filter: f, Limit: proto.Uint32(1000)})
	if err != nil {
		t.Fatalf("scroll: %v", err)
	}
	return ids(points)
}

// scored is an expected hit.
type scored struct {
	id    uint64
	score float64
}

// wantScored checks hits and scores in order.
func wantScored(t *testing.T, got []*pb.ScoredPoint, want ...scored) {
	t.Helper()
	var lines []string
	ok := len(got) == len(want)
	for i, p := range got {
		lines = append(lines, fmt.Sprintf("%d: %.6f", p.GetId().GetNum(), p.GetScore()))
		ok = ok && p.GetId().GetNum() == want[i].id && math.Abs(float64(p.GetScore())-want[i].score) < 1e-5
	}
	if !ok {
		t.Errorf("got hits\n%s\nwant %v", strings.Join(lines, "\n"), want)
	}
}

func wantIDs(t *testing.T, got []uint64, want ...uint64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got ids %v, want %v", got, want)
	}
}

// wantCode checks an error's code and that its message holds a text.
func wantCode(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("error %v, want code %s with %q", err, code, text)
	}
}
