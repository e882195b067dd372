//go:build race

package tokens

// workBytes is how much of each input [TestWork] counts: under the race
// detector, which is twenty times slower, less.
const workBytes = 1 << 16
