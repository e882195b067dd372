//go:build race

package llmsim

// Under the race detector the measurements take a small sample of the queries
// and allow for its noise.
const (
	sampleStride = 25
	sampleSlack  = 0.06
)
