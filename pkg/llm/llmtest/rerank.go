package llmtest

import (
	"context"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
)

// rerankQuery is answered by exactly one of the passages, which shares its words,
// so that any model finds it.
const rerankQuery = "where does the patient turtle count seven red boats"

func passages() []string {
	return []string{
		"Cats sleep most of the day.",
		"A job is kept in a durable stream.",
		"The patient turtle does count seven red boats where the river bends.",
		"Bread needs flour and water.",
	}
}

func (s Subject) rerank(ctx context.Context, documents []string, topN int) (llm.RerankResponse, error) {
	return s.Reranker.Rerank(ctx, llm.RerankRequest{Model: s.RerankModel, Query: rerankQuery, Documents: documents, TopN: topN})
}

func rerankOrder(t *testing.T, s Subject) {
	for _, tc := range []struct{ topN, want int }{{0, 4}, {2, 2}, {1, 1}, {9, 4}} {
		got, err := s.rerank(t.Context(), passages(), tc.topN)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Results) != tc.want || got.Results[0].Index != 2 || got.Model == "" {
			t.Errorf("top %d: got %+v, want %d results, document 2 first, and a model", tc.topN, got, tc.want)
		}
		seen := map[int]bool{}
		for i, r := range got.Results {
			if r.Index < 0 || r.Index >= len(passages()) || seen[r.Index] {
				t.Errorf("top %d: index %d twice or out of range", tc.topN, r.Index)
			}
			if i > 0 && r.Score > got.Results[i-1].Score {
				t.Errorf("top %d: score %v after %v", tc.topN, r.Score, got.Results[i-1].Score)
			}
			seen[r.Index] = true
		}
	}
}

func rerankContext(t *testing.T, s Subject) {
	checkContext(t, func(ctx context.Context) error {
		_, err := s.rerank(ctx, passages(), 0)
		return err
	})
}

func rerankInvalid(t *testing.T, s Subject) {
	_, err := s.rerank(t.Context(), nil, 0)
	wantInvalid(t, "no documents", err)
	_, err = s.Reranker.Rerank(t.Context(), llm.RerankRequest{Query: "q", Documents: passages()})
	wantInvalid(t, "no model", err)
}
