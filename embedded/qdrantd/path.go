package qdrantd

import (
	"strconv"
	"strings"
	"unicode"

	pb "github.com/qdrant/go-client/qdrant"
)

// segment is one step of a JSON path: a key, an array index, or all elements.
type segment struct {
	key   string
	index int
	kind  segmentKind
}

type segmentKind uint8

const (
	segKey segmentKind = iota
	segIndex
	segAll
)

// jsonPath is a parsed path into a payload. The first segment is a key.
type jsonPath []segment

// parsePath parses Qdrant's path syntax: keys joined by dots, [n] for one element
// and [] for all. A key of other characters than letters, digits, _ and - must be
// quoted; quoted keys hold no quote and no backslash.
func parsePath(s string) (jsonPath, error) {
	var path jsonPath
	rest := s
	for {
		key, tail, ok := cutKey(rest)
		if !ok {
			return nil, badInput("Invalid json path: %q", s)
		}
		path = append(path, segment{key: key})
		for strings.HasPrefix(tail, "[") {
			var seg segment
			if seg, tail, ok = cutBrackets(tail); !ok {
				return nil, badInput("Invalid json path: %q", s)
			}
			path = append(path, seg)
		}
		if tail == "" {
			return path, nil
		}
		if tail[0] != '.' {
			return nil, badInput("Invalid json path: %q", s)
		}
		rest = tail[1:]
	}
}

// cutKey takes a key, quoted or plain, off the front of s.
func cutKey(s string) (key, rest string, ok bool) {
	if strings.HasPrefix(s, `"`) {
		key, rest, ok = strings.Cut(s[1:], `"`)
		return key, rest, ok && !strings.Contains(key, `\`)
	}
	end := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r != '_' && r != '-' })
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], end > 0
}

// cutBrackets takes [n] or [] off the front of s.
func cutBrackets(s string) (seg segment, rest string, ok bool) {
	inside, rest, ok := strings.Cut(s[1:], "]")
	if !ok || inside == "" {
		return segment{kind: segAll}, rest, ok
	}
	n, err := strconv.Atoi(inside)
	return segment{kind: segIndex, index: n}, rest, err == nil && n >= 0
}

// key is the payload's top-level key the path starts at.
func (p jsonPath) key() string { return p[0].key }

// follow appends the values the rest of the path (after its key) leads to.
func (p jsonPath) follow(v *pb.Value) []*pb.Value { return followPath(v, p[1:], nil) }

func followPath(v *pb.Value, segs []segment, out []*pb.Value) []*pb.Value {
	if len(segs) == 0 {
		return append(out, v)
	}
	if segs[0].kind == segKey {
		next, ok := v.GetStructValue().GetFields()[segs[0].key]
		if !ok {
			return out
		}
		return followPath(next, segs[1:], out)
	}
	for i, e := range v.GetListValue().GetValues() {
		if segs[0].kind == segAll || segs[0].index == i {
			out = followPath(e, segs[1:], out)
		}
	}
	return out
}
