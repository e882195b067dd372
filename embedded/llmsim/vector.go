package llmsim

import (
	"math"
	"sync"
	"unicode/utf8"
)

const (
	// projections is the number of vector components each feature is added to
	// (even); 4 to 8 are as good as a dense random projection, 1 is far worse.
	projections = 6
	// gramLength is the length in characters of the grams inside a word.
	gramLength = 4
	// gramWeight is the weight of all grams of a word relative to the word when
	// they are taken together as a vector; one gram has 1/sqrt(grams) of it.
	gramWeight = 0.8
	// foreignGrams raises the grams of words with letters beyond ASCII: their
	// languages have endings the stemmer knows nothing of.
	foreignGrams = 1.6
	// countGrowth is how much the logarithm of a feature's count adds.
	countGrowth = 0.4
	// widePairWeight and wideCharWeight weigh pairs and single characters of
	// scripts without spaces.
	widePairWeight = 1.0
	wideCharWeight = 0.4
)

// embedder maps texts to vectors whose cosine is a noisy lexical similarity:
// stemmed words and their character 4-grams, each weighted by a static inverse
// document frequency and a damped count, are hashed and added with a sign to
// a few components. It keeps no state between texts, so equal texts have equal
// vectors in every process.
type embedder struct {
	scratch sync.Pool
}

func newEmbedder() *embedder {
	return &embedder{scratch: sync.Pool{New: func() any { return newFeatures() }}}
}

// embed returns the unit vector of text with dims components. A text without
// any word gets a fixed unit vector, because stores refuse zero vectors.
func (e *embedder) embed(text string, dims int) []float32 {
	f := e.scratch.Get().(*features)
	defer e.scratch.Put(f)
	f.reset()
	f.collect(text)
	vec := make([]float32, dims)
	for _, entry := range f.entries {
		w := entry.weight
		if entry.count > 1 {
			w *= float32(1 + countGrowth*math.Log(float64(entry.count)))
		}
		project(vec, entry.hash, w)
	}
	normalise(vec)
	return vec
}

// project adds w to the components feature hash h stands for, with its signs.
func project(vec []float32, h uint64, w float32) {
	dims := uint64(len(vec))
	for range projections / 2 {
		h = mix(h)
		add(vec, uint32(h), dims, w)
		add(vec, uint32(h>>32), dims, w)
	}
}

// add uses the low bit of bits as the sign and the rest as the component.
func add(vec []float32, bits uint32, dims uint64, w float32) {
	i := uint64(bits>>1) * dims >> 31
	if bits&1 == 0 {
		vec[i] += w
	} else {
		vec[i] -= w
	}
}

func normalise(vec []float32) {
	var sum float64
	for _, v := range vec {
		sum += float64(v) * float64(v)
	}
	if sum == 0 {
		vec[0] = 1
		return
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range vec {
		vec[i] *= scale
	}
}

// feature is one distinct word or gram of a text.
type feature struct {
	hash   uint64
	weight float32
	count  int32
}

// features collects the distinct features of one text in a small open hash
// table, in order of first appearance, without allocating once it is warm.
type features struct {
	entries []feature
	slots   []int32 // index into entries + 1; 0 is free
	word    []byte
	padded  []byte
	starts  []int // where the characters of padded begin
}

func newFeatures() *features {
	return &features{slots: make([]int32, 1024)}
}

func (f *features) reset() {
	f.entries = f.entries[:0]
	clear(f.slots)
}

// collect adds the features of text.
func (f *features) collect(text string) {
	var prev [utf8.UTFMax]byte
	prevLen, prevEnd := 0, -1
	f.word = scanWords(text, f.word, func(word []byte, at int, wide bool) {
		if !wide {
			f.addWord(word)
			return
		}
		f.add(hashBytes(wideSeed, word), wideCharWeight)
		if prevEnd == at {
			h := hashBytes(wideSeed, prev[:prevLen])
			f.add(hashBytes(h, word), widePairWeight)
		}
		prevLen, prevEnd = copy(prev[:], word), at+len(word)
	})
}

// Seeds keep words, grams and wide characters from sharing hashes.
const (
	wordSeed uint64 = 0x9E3779B97F4A7C15
	gramSeed uint64 = 0xC2B2AE3D27D4EB4F
	wideSeed uint64 = 0x165667B19E3779F9
)

func (f *features) addWord(word []byte) {
	weight := wordWeight(word)
	f.padded = append(append(append(f.padded[:0], ' '), word...), ' ')
	f.add(hashBytes(wordSeed, stem(word)), weight)
	if weight <= weightStop {
		return
	}
	f.starts = f.starts[:0]
	for i, c := range f.padded {
		if utf8.RuneStart(c) {
			f.starts = append(f.starts, i)
		}
	}
	f.starts = append(f.starts, len(f.padded))
	grams := len(f.starts) - gramLength
	if grams <= 0 {
		return
	}
	if len(f.starts)-1 < len(f.padded) {
		weight *= foreignGrams
	}
	weight *= gramWeight / float32(math.Sqrt(float64(grams)))
	for i := range grams {
		gram := f.padded[f.starts[i]:f.starts[i+gramLength]]
		f.add(hashBytes(gramSeed, gram), weight)
	}
}

// add counts one occurrence; a feature keeps the largest weight it came with.
func (f *features) add(hash uint64, weight float32) {
	mask := uint64(len(f.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		at := f.slots[i]
		if at == 0 {
			f.entries = append(f.entries, feature{hash: hash, weight: weight, count: 1})
			f.slots[i] = int32(len(f.entries))
			break
		}
		if entry := &f.entries[at-1]; entry.hash == hash {
			entry.count++
			entry.weight = max(entry.weight, weight)
			return
		}
	}
	if 2*len(f.entries) > len(f.slots) {
		f.grow()
	}
}

func (f *features) grow() {
	f.slots = make([]int32, 2*len(f.slots))
	mask := uint64(len(f.slots) - 1)
	for n, entry := range f.entries {
		i := entry.hash & mask
		for f.slots[i] != 0 {
			i = (i + 1) & mask
		}
		f.slots[i] = int32(n + 1)
	}
}

// hashBytes is FNV-1a from a seed, with a final mix.
func hashBytes(seed uint64, b []byte) uint64 {
	h := seed
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001B3
	}
	return mix(h)
}

// mix is the finaliser of splitmix64 (Steele, Lea and Flood, 2014).
func mix(h uint64) uint64 {
	h += 0x9E3779B97F4A7C15
	h = (h ^ h>>30) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>27) * 0x94D049BB133111EB
	return h ^ h>>31
}
