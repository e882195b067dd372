//go:build race

package chunk_test

// every is which of the real documents tests take: the race detector makes work
// ten times as slow, and there is nothing concurrent in them.
const every = 12
