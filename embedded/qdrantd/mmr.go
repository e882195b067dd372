package qdrantd

import (
	"context"

	pb "github.com/qdrant/go-client/qdrant"
)

// Real Qdrant's limits for maximal marginal relevance.
const (
	defaultDiversity = 0.5
	maxCandidates    = 16384
)

// searchMMR finds the nearest points and picks from them so that they differ:
// the best first, then always the one of the highest
// (1-diversity)*relevance - diversity*(similarity to the nearest one picked).
// Hits keep their own scores.
func (r *reader) searchMMR(ctx context.Context, n queryNode, in *pb.NearestInputWithMmr, p plan) ([]hit, error) {
	diversity, candidates := float32(defaultDiversity), n.limit
	if d := in.GetMmr().Diversity; d != nil {
		diversity = *d
	}
	if !(diversity >= 0 && diversity <= 1) {
		return nil, badInput("mmr.diversity: value %v invalid, must be from 0.0 to 1.0", diversity)
	}
	if c := in.GetMmr().CandidatesLimit; c != nil {
		if candidates = int(*c); *c > maxCandidates {
			return nil, badInput("mmr.candidates_limit: value %d invalid, must be at most %d", *c, maxCandidates)
		}
	}
	s, err := r.nearest(ctx, n, in.GetNearest(), p)
	if err != nil {
		return nil, err
	}
	s.limit = candidates
	hits, err := r.run(ctx, s)
	if err != nil || len(hits) < 2 {
		return hits[:min(len(hits), n.limit)], err
	}
	return r.diversify(ctx, s, hits, diversity, n.limit)
}

// diversify picks hits. nearest[i] is the similarity of hit i to the most
// similar hit that is picked.
func (r *reader) diversify(ctx context.Context, s search, hits []hit, diversity float32, limit int) ([]hit, error) {
	vectors, relevance := make([][]byte, len(hits)), make([]float32, len(hits))
	for i, h := range hits {
		vectors[i] = r.vector(s.spec, h.slot)
		relevance[i] = s.relevance(h, vectors[i])
	}
	picked := make([]bool, len(hits))
	nearest := make([]float32, len(hits))
	var out []hit
	for len(out) < min(limit, len(hits)) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		best, bestScore := -1, float32(0)
		for i := range hits {
			score := relevance[i]
			if len(out) > 0 {
				score = (1-diversity)*relevance[i] - diversity*nearest[i]
			}
			if !picked[i] && (best < 0 || score > bestScore) {
				best, bestScore = i, score
			}
		}
		picked[best] = true
		for i := range hits {
			if sim := s.spec.similarity(vectors[best], vectors[i]); len(out) == 0 || sim > nearest[i] {
				nearest[i] = sim
			}
		}
		out = append(out, hits[best])
	}
	return out, nil
}

// relevance is the similarity of a hit to the query. A sparse query counts
// without the rarity of its terms, as hits are compared without it too.
func (s search) relevance(h hit, stored []byte) float32 {
	if s.spec.sparse != nil {
		sum, _ := sparseScore(s.asked)(stored)
		return sum
	}
	return s.spec.asSimilarity(h.score)
}

// similarity compares two stored vectors; more is nearer.
func (v vectorSpec) similarity(a, b []byte) float32 {
	if v.sparse != nil {
		sum, _ := sparseScore(decodeSparse(a))(b)
		return sum
	}
	return v.asSimilarity(v.metric.score(floats(a), floats(b)))
}

// asSimilarity makes a similarity of a score, as real Qdrant's engine does.
func (v vectorSpec) asSimilarity(score float32) float32 {
	switch v.dense.GetDistance() {
	case pb.Distance_Euclid:
		return -score * score
	case pb.Distance_Manhattan:
		return -score
	}
	return score
}
