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

// table maps keys to ids, with open addressing. Most that is looked for is not
// there: the tags, a byte of hash per slot and small enough for a processor's
// cache, tell.
type table struct {
	tags  []uint8 // 0 where a slot is empty
	slots []slot  // a power of two
	shift int     // from a hash to a slot
}

type slot struct {
	low, high uint64
	id        uint32
}

// newTable returns a table for n keys, filled by two thirds at most.
func newTable(n int) *table {
	size := bits.Len(uint(n + n/2))
	return &table{tags: make([]uint8, 1<<size), slots: make([]slot, 1<<size), shift: 64 - size}
}

// place returns the slot and the tag of a key.
func (t *table) place(low, high uint64) (i uint64, tag uint8) {
	h := hash(low, high)
	return h >> t.shift, uint8(h>>(t.shift-8)) | 1
}

// put adds the key of s.
func (t *table) put(s string, id uint32) {
	low, high := key(s)
	i, tag := t.place(low, high)
	for t.tags[i] != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.tags[i], t.slots[i] = tag, slot{low, high, id}
}

// get returns the id of s, noRank if there is none.
func (t *table) get(s string) uint32 {
	low, high := key(s)
	for i, tag := t.place(low, high); ; i = (i + 1) & uint64(len(t.tags)-1) {
		switch t.tags[i] {
		case tag:
			if e := &t.slots[i]; e.low == low && e.high == high {
				return e.id
			}
		case 0:
			return noRank
		}
	}
}
