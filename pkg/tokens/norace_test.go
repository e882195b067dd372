//go:build !race

package tokens

// workBytes is how much of each input [TestWork] counts.
const workBytes = 1 << 20
