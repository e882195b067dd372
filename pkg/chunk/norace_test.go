//go:build !race

package chunk_test

// every is which of the real documents tests take: each one.
const every = 1
