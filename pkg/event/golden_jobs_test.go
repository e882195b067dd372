package event_test

import (
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/internal/golden"
)

// TestJobsWireFormat is that of the jobs that look after documents, and of queries.
func TestJobsWireFormat(t *testing.T) {
	t.Parallel()
	golden.JSON(t, "delete_job", event.Decode[event.DeleteJob], event.DeleteJob{Envelope: envelope, Collection: "docs", Document: "d1", Version: 7})
	golden.JSON(t, "verify_job", event.Decode[event.VerifyJob], event.VerifyJob{Envelope: envelope, Collection: "docs", Fix: true})
	golden.JSON(t, "reindex_job", event.Decode[event.ReindexJob], event.ReindexJob{Envelope: envelope, Collection: "docs", Document: "d1"})
	golden.JSON(t, "query_request", event.Decode[event.QueryRequest], event.QueryRequest{V: 1, Text: "why?", RAG: event.RAG{Collection: "docs", TopK: 3, Readers: []string{"ann"}}})
	golden.JSON(t, "query_reply", event.Decode[event.QueryReply], event.QueryReply{V: 1, Lists: []string{"bm25"}, Fusion: "dbsf", Coverage: 1,
		Hits: []event.QueryHit{{Source: event.Source{Number: 1, Document: "d1", Score: 0.5, Text: "so"}, Lists: map[string]event.ListPlace{"bm25": {Rank: 1, Score: 2}}}}})
}
