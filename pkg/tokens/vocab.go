package tokens

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"sync"

	"github.com/pkoukk/tiktoken-go-loader/assets"
)

// noRank is the rank of bytes that are no token.
const noRank = math.MaxUint32

// vocabulary maps the tokens of an encoding to their ids and back. An id is
// also the token's rank: of two possible merges the one of lower rank comes
// first. It is never changed after it was read.
type vocabulary struct {
	short  *table            // the id of tokens of up to keyBytes bytes, but for two
	long   map[string]uint32 // of longer ones
	pairs  []uint32          // id by two bytes, the first one high: most lookups
	bytes  string            // all tokens, in the order of their ids
	starts []uint32          // offset in bytes of every token, and the end
	widest int               // bytes of the longest token
}

// The vocabularies, read at first use: some 40 ms and 10 MB each.
var (
	o200k  = sync.OnceValues(func() (*vocabulary, error) { return embedded(O200kBase) })  //nolint:gochecknoglobals // read once, never written
	cl100k = sync.OnceValues(func() (*vocabulary, error) { return embedded(Cl100kBase) }) //nolint:gochecknoglobals // read once, never written
)

// embedded reads the compiled-in vocabulary of an encoding.
func embedded(encoding string) (*vocabulary, error) {
	name := encoding + ".tiktoken"
	data, err := assets.Assets.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("tokens: reading vocabulary: %w", err)
	}
	v, err := parseVocabulary(data)
	if err != nil {
		return nil, fmt.Errorf("tokens: reading vocabulary %s: %w", name, err)
	}
	return v, nil
}

// parseVocabulary reads a file of tiktoken: per line a token in base64, a blank
// and its id. Ids count up from 0, and every single byte is a token.
func parseVocabulary(data []byte) (*vocabulary, error) {
	lines := bytes.Count(data, []byte{'\n'}) + 1
	text := make([]byte, 0, len(data)/2)
	v := &vocabulary{long: map[string]uint32{}, pairs: make([]uint32, 1<<16), starts: make([]uint32, 1, lines+1)}
	for line := range bytes.Lines(data) {
		token, id, ok := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte{' '})
		if want := len(v.starts) - 1; !ok || string(id) != strconv.Itoa(want) {
			return nil, fmt.Errorf("line %d is %q, want a token in base64 and the id %d", want+1, line, want)
		}
		var err error
		if text, err = base64.StdEncoding.AppendDecode(text, token); err != nil {
			return nil, fmt.Errorf("line %d: token %q: %w", len(v.starts), token, err)
		}
		v.starts = append(v.starts, uint32(len(text)))
	}
	v.bytes = string(text)
	v.index()
	for b := range 256 {
		if v.rank(string([]byte{byte(b)})) == noRank {
			return nil, fmt.Errorf("byte %#x is no token, want every byte to be one", b)
		}
	}
	return v, nil
}

// index fills the tables that lead from bytes to ids.
func (v *vocabulary) index() {
	for i := range v.pairs {
		v.pairs[i] = noRank
	}
	v.short = newTable(len(v.starts))
	for id := range uint32(len(v.starts) - 1) {
		token := v.token(id)
		switch {
		case len(token) == 2:
			v.pairs[uint32(token[0])<<8|uint32(token[1])] = id
		case len(token) <= keyBytes:
			v.short.put(token, id)
		default:
			v.long[token] = id
		}
		v.widest = max(v.widest, len(token))
	}
}

// token returns the bytes of a token.
func (v *vocabulary) token(id uint32) string { return v.bytes[v.starts[id]:v.starts[id+1]] }

// rank returns the id of the token s, noRank if there is none.
func (v *vocabulary) rank(s string) uint32 {
	switch {
	case len(s) == 2:
		return v.pairs[uint32(s[0])<<8|uint32(s[1])]
	case len(s) <= keyBytes:
		return v.short.get(s)
	case len(s) <= v.widest:
		if id, ok := v.long[s]; ok {
			return id
		}
	}
	return noRank
}
