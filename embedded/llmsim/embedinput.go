package llmsim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// paraphrasePull is the weight of what is common to a group of paraphrases in
// their embeddings; the rest is the text's own. It makes their cosines at
// least pull²/(pull²+(1-pull)²) when their own parts have nothing in common.
const paraphrasePull = 0.8

// embedInput is a string, strings, token ids or lists of token ids.
type embedInput struct {
	list   []string // the texts; of token ids what they stand for
	tokens [][]int  // the ids; nil for texts
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *embedInput) UnmarshalJSON(data []byte) error {
	var texts stringOrList
	if texts.UnmarshalJSON(data) == nil {
		e.list = texts.list
		return nil
	}
	var ids []int
	if json.Unmarshal(data, &ids) == nil {
		e.tokens = [][]int{ids}
	} else if json.Unmarshal(data, &e.tokens) != nil {
		return invalid("input", "invalid_type", "Invalid type for 'input': expected a string, an array of strings, an array of token ids or an array of arrays of token ids.")
	}
	for i, ids := range e.tokens {
		words := make([]string, len(ids))
		for j, id := range ids {
			if id < 0 {
				return invalid("input", "invalid_value", "Invalid 'input[%d]': token ids are not negative, but got %d.", i, id)
			}
			words[j] = "t" + strconv.Itoa(id)
		}
		e.list = append(e.list, strings.Join(words, " "))
	}
	return nil
}

// decode turns token ids into the texts they stand for, if that is known.
func (e *embedInput) decode(decoder func([]int) (string, error)) error {
	if decoder == nil {
		return nil
	}
	for i, ids := range e.tokens {
		text, err := decoder(ids)
		if err != nil {
			return invalid("input", "invalid_value", "Invalid 'input[%d]': %v.", i, err)
		}
		e.list[i] = text
	}
	return nil
}

// count returns the tokens of input i.
func (e *embedInput) count(i int, counter func(string) int) int {
	if e.tokens != nil {
		return len(e.tokens[i])
	}
	return counter(e.list[i])
}

// ReadParaphrases reads groups of texts with the same meaning, one JSON array
// of strings a line.
func ReadParaphrases(r io.Reader) ([][]string, error) {
	var out [][]string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxGoldLine)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var group []string
		if err := json.Unmarshal(lines.Bytes(), &group); err != nil {
			return nil, fmt.Errorf("reading paraphrases, line %d: %w", n, err)
		}
		if len(group) < 2 {
			return nil, fmt.Errorf("reading paraphrases, line %d: %d texts, want at least 2", n, len(group))
		}
		out = append(out, group)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading paraphrases: %w", err)
	}
	return out, nil
}

// groupsOf maps each normal text to its group of paraphrases; of several
// groups the first counts.
func groupsOf(paraphrases [][]string) map[string][]string {
	out := map[string][]string{}
	for _, group := range paraphrases {
		for _, text := range group {
			if normal := normalQuestion(text); out[normal] == nil {
				out[normal] = group
			}
		}
	}
	return out
}

// embed returns the vector of a text, pulled towards its paraphrases.
func (s *Server) embed(text string, dims int) []float32 {
	vec := s.embedder.embed(text, dims)
	if len(s.known.groups) == 0 {
		return vec
	}
	group := s.known.groups[normalQuestion(text)]
	if group == nil {
		return vec
	}
	common := make([]float32, dims)
	for _, other := range group {
		for i, x := range s.embedder.embed(other, dims) {
			common[i] += x
		}
	}
	normalise(common)
	for i := range vec {
		vec[i] = (1-paraphrasePull)*vec[i] + paraphrasePull*common[i]
	}
	normalise(vec)
	return vec
}
