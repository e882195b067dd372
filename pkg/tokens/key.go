package tokens

import "math/bits"

// keyBytes is the length of the longest string that has a key.
const keyBytes = 15

// key returns s, of 1 to keyBytes bytes, as two words: bytes 0 to 7; bytes 8 to
// 14 and above them the length. The four highest bits are 0.
func key(s string) (low, high uint64) {
	n := len(s)
	switch {
	case n >= 8:
		high = load(s[n-8:]) >> (8 * (16 - n)) // the bytes from 8 on; none if n is 8
		return load(s), high | uint64(n)<<56
	case n >= 4:
		low = uint64(load4(s)) | uint64(load4(s[n-4:]))<<(8*(n-4))
	default:
		low = uint64(s[0]) | uint64(s[n/2])<<(8*(n/2)) | uint64(s[n-1])<<(8*(n-1))
	}
	return low, uint64(n) << 56
}

// load returns the first eight bytes of s.
func load(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// load4 returns the first four bytes of s.
func load4(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// hashFactor spreads keys: 2^64 divided by the golden ratio.
const hashFactor = 0x9E3779B97F4A7C15

// hash returns a hash of a key, its highest bits the best.
func hash(low, high uint64) uint64 {
	return (low ^ bits.RotateLeft64(high*hashFactor, 32)) * hashFactor
}

// table maps keys to ids, with open addressing.
type table struct {
	slots []slot // a power of two; empty where high is 0
	shift int    // from a hash to a slot
}

type slot struct {
	low, high uint64
	id        uint32
}

// newTable returns a table for n keys, filled by two thirds at most.
func newTable(n int) *table {
	size := bits.Len(uint(n + n/2))
	return &table{slots: make([]slot, 1<<size), shift: 64 - size}
}

// put adds the key of s.
func (t *table) put(s string, id uint32) {
	low, high := key(s)
	i := hash(low, high) >> t.shift
	for t.slots[i].high != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = slot{low, high, id}
}

// get returns the id of s, noRank if there is none.
func (t *table) get(s string) uint32 {
	low, high := key(s)
	for i := hash(low, high) >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		e := &t.slots[i]
		if e.low == low && e.high == high {
			return e.id
		}
		if e.high == 0 {
			return noRank
		}
	}
}
