package manifest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/internal/golden"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/vector"
)

// wireRow has every field set.
func wireRow() manifest.Row {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	state := manifest.State{
		Version: 7, Job: "j7", Outcome: event.OutcomeStored, Content: "c7", Config: "g7",
		Meta:      vector.Meta{Source: "a.md", Title: "A", Metadata: map[string]string{"team": "people"}, ACL: []string{"staff"}},
		MediaType: "text/markdown", URL: "https://example.com/a.md", ETag: `"e7"`, LastModified: "Fri, 02 Jan 2026 03:04:05 GMT",
		Bytes: 100, Tokens: 25, Created: at, Updated: at.Add(time.Hour), Removed: 1,
		Chunks: manifest.Refs{{ID: number(1), Start: 0, End: 60, Page: 1}, {ID: number(2), Start: 50, End: 100, Overlap: 10, Page: 2}},
		Work:   []manifest.Work{{Done: true, Embedded: 1, Reused: 1, Attempts: []event.Attempt{{Model: "embed", PromptTokens: 25, CostNanoUSD: 500, DurationMS: 1.5}}, WaitingMS: 2.5}},
	}
	next := state
	next.Version, next.Job, next.Work = 8, "j8", []manifest.Work{{}}
	next.Chunks = manifest.Refs{state.Chunks[0], {ID: number(3), Start: 60, End: 120, Page: 2}}
	return manifest.Row{V: event.Version, State: state, Pending: &manifest.Pending{State: next, Added: []int{1}},
		Stale: manifest.IDs{number(8), number(9)}, MetaStale: true}
}

// TestWireFormat: these files are what processes of other versions of Weir read
// and write. A field may be added; one that changes its name, type or meaning
// needs a new version.
func TestWireFormat(t *testing.T) {
	t.Parallel()
	golden.JSON(t, "row", decode, wireRow())
	golden.JSON(t, "row_least", decode, manifest.Row{V: event.Version})
	golden.JSON(t, "tombstone", decode, manifest.Row{V: event.Version, Deleted: true, State: manifest.State{Version: 9, Job: "j9", Outcome: event.OutcomeDeleted, Removed: 2}})
}

func decode(data []byte) (manifest.Row, error) {
	var row manifest.Row
	err := json.Unmarshal(data, &row)
	return row, err
}
