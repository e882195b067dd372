package qdrantd

import (
	"math"

	pb "github.com/qdrant/go-client/qdrant"
)

// defaultRRFK is Qdrant's k when none is given.
const defaultRRFK = 2

// fuse merges lists by a named method with its default parameters.
func fuse(f pb.Fusion, lists [][]hit) ([]hit, error) {
	switch f {
	case pb.Fusion_RRF:
		return fuseRRF(nil, lists)
	case pb.Fusion_DBSF:
		return fuseDBSF(lists), nil
	}
	return nil, badInput("unknown fusion %d", f)
}

// fuseRRF is reciprocal rank fusion: a point scores 1/((pos+1)/w + k - 1) in
// each list, pos from 0; w weighs the list (1 unless given; nothing when <= 0).
func fuseRRF(params *pb.Rrf, lists [][]hit) ([]hit, error) {
	k := float64(defaultRRFK)
	if params.GetK() > 0 {
		k = float64(params.GetK())
	} else if params != nil && params.K != nil {
		return nil, badInput("rrf.k: value 0 invalid, must be 1 or larger")
	}
	weights := params.GetWeights()
	if len(weights) > 0 && len(weights) != len(lists) {
		return nil, badInput("rrf.weights: %d weights for %d prefetches", len(weights), len(lists))
	}
	return sumScores(lists, func(list, pos int) float64 {
		w := 1.0
		if len(weights) > 0 {
			w = float64(weights[list])
		}
		if w <= 0 {
			return 0
		}
		return 1 / ((float64(pos)+1)/w + k - 1)
	}), nil
}

// fuseDBSF is distribution based score fusion: each list's scores are mapped so
// that mean-3sd..mean+3sd becomes 0..1 (sample deviation; 0.5 for a list without
// spread), then summed.
func fuseDBSF(lists [][]hit) []hit {
	type spread struct{ low, width float64 }
	spreads := make([]spread, len(lists))
	for i, l := range lists {
		mean, sd := meanDeviation(l)
		spreads[i] = spread{low: mean - 3*sd, width: 6 * sd}
	}
	return sumScores(lists, func(list, pos int) float64 {
		s := spreads[list]
		if s.width == 0 {
			return 0.5
		}
		return (float64(lists[list][pos].score) - s.low) / s.width
	})
}

// meanDeviation returns the scores' mean and sample standard deviation.
func meanDeviation(hits []hit) (mean, sd float64) {
	if len(hits) == 0 {
		return 0, 0
	}
	for _, h := range hits {
		mean += float64(h.score) / float64(len(hits))
	}
	if len(hits) == 1 {
		return mean, 0
	}
	var sum float64
	for _, h := range hits {
		d := float64(h.score) - mean
		sum += d * d
	}
	sd = math.Sqrt(sum / float64(len(hits)-1))
	if sd < 1e-9*math.Abs(mean) { // equal scores, but for rounding
		sd = 0
	}
	return mean, sd
}

// sumScores adds up what each point gets in each list it is in, best first.
func sumScores(lists [][]hit, score func(list, pos int) float64) []hit {
	at := map[uint64]int{}
	var hits []hit
	var sums []float64
	for l, list := range lists {
		for pos, h := range list {
			i, ok := at[h.slot]
			if !ok {
				i = len(hits)
				at[h.slot] = i
				hits, sums = append(hits, h), append(sums, 0)
			}
			sums[i] += score(l, pos)
		}
	}
	for i := range hits {
		hits[i].score = float32(sums[i])
	}
	metric{}.sortHits(hits)
	return hits
}
