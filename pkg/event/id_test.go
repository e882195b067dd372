package event_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

var at = time.Date(2026, 1, 2, 15, 4, 5, 678_000_000, time.UTC)

func TestNewID(t *testing.T) {
	t.Parallel()
	ulid := regexp.MustCompile(`^[0-7][0-9A-HJKMNP-TV-Z]{25}$`)
	seen := map[string]bool{}
	for i := range 1000 {
		id := event.NewID(at)
		if !ulid.MatchString(id) {
			t.Fatalf("%q is no ULID", id)
		}
		if seen[id] {
			t.Fatalf("%q came twice (try %d)", id, i)
		}
		seen[id] = true
		if err := event.CheckName("id", id); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewIDSortsByTime(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 200 {
		ids = append(ids, event.NewID(at.Add(time.Duration(i)*37*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("ids of later times do not sort later")
	}
	// The example of github.com/ulid/spec: 1469918176385 ms is 01ARYZ6S41.
	if id := event.NewID(time.UnixMilli(1469918176385)); !strings.HasPrefix(id, "01ARYZ6S41") {
		t.Errorf("got %q, want the time part 01ARYZ6S41", id)
	}
}

func TestDeliveryID(t *testing.T) {
	t.Parallel()
	id := event.DeliveryID(at, "WEIR_JOBS", 7)
	if want := "01KDZKSF9EGJTXJYRT6DRKSE9P"; id != want {
		t.Errorf("got %q, want %q for ever", id, want)
	}
	if again := event.DeliveryID(at.In(time.FixedZone("", 3600)), "WEIR_JOBS", 7); again != id {
		t.Errorf("the time zone changed %q to %q", id, again)
	}
	for name, other := range map[string]string{
		"sequence": event.DeliveryID(at, "WEIR_JOBS", 8),
		"stream":   event.DeliveryID(at, "WEIR_STEPS", 7),
		"time":     event.DeliveryID(at.Add(1), "WEIR_JOBS", 7), // a stream made anew counts from 1 again
	} {
		if other == id {
			t.Errorf("another %s gives the same id", name)
		}
	}
}

func TestChunkID(t *testing.T) {
	t.Parallel()
	// Computed with another implementation of UUIDv5.
	golden := []struct {
		tenant, collection, document, content string
		occurrence                            int
		want                                  string
	}{
		{"acme", "docs", "d1", "hello", 0, "6c945f5d-4d48-578a-89db-7ff8c2fa9fad"},
		{"acme", "docs", "d1", "hello", 1, "5c3b4fa3-8de1-54e2-ace3-2d89e0e065c1"},
		{"acme", "docs", "d1", "", 0, "1fbe2e62-8417-5baa-85cb-7503cd8bcacc"},
		{"acme", "docs", "d2", "hello", 0, "2fad05cd-a8a1-5099-bab7-cb07d34aec17"},
		{"acme", "other", "d1", "hello", 0, "d3f6c9fc-54ec-5110-a0b6-8e313f791940"},
		{"zeta", "docs", "d1", "hello", 0, "ddd26c0a-c86a-5df1-9864-373746e457d0"},
	}
	v5 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, g := range golden {
		id := event.ChunkID(g.tenant, g.collection, g.document, g.content, g.occurrence)
		if id != g.want {
			t.Errorf("%+v: got %s; stored points would be orphaned", g, id)
		}
		if !v5.MatchString(id) {
			t.Errorf("%s is no UUIDv5", id)
		}
		if seen[id] {
			t.Errorf("%+v: id came before", g)
		}
		seen[id] = true
	}
}

func TestDocumentID(t *testing.T) {
	t.Parallel()
	for source, prefix := range map[string]string{
		"docs/guide/start.md":           "docs-guide-start-md-",
		"https://example.com/a?page=2":  "https---example-com-a-page-2-",
		strings.Repeat("x/", 100) + "y": "x-x-",
	} {
		id := event.DocumentID(source)
		if !strings.HasPrefix(id, prefix) {
			t.Errorf("%s: got %s, want it to begin with %s", source, id, prefix)
		}
		if err := event.CheckName("id", id); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	if event.DocumentID("a/b") == event.DocumentID("a-b") {
		t.Error("a/b and a-b share an id")
	}
}
