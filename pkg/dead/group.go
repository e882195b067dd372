package dead

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Group is the letters of one stage, class and cause.
type Group struct {
	ID    string      `json:"id"`
	Stage string      `json:"stage"`
	Class event.Class `json:"class"`
	// Cause is the error, with what differs from letter to letter masked.
	Cause string `json:"cause"`
	// Count is how many there are, Redriven how many of them were redriven.
	Count    int       `json:"count"`
	Redriven int       `json:"redriven"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	// Example is the newest letter.
	Example Letter `json:"example"`
	// CostNanoUSD is about what it costs to redrive those that were not: as much as
	// their jobs cost so far, and the mean for those of which nothing is known.
	CostNanoUSD int64 `json:"cost_nano_usd"`
	// CostKnown is how many of them had cost something.
	CostKnown int `json:"cost_known"`
}

// Groups returns the groups of a filter, the largest first. whole is false when there
// are more letters than are read for one call; the oldest are counted then.
func (b *Box) Groups(ctx context.Context, f Filter) (groups []Group, whole bool, err error) {
	redriven, err := b.redriven(ctx)
	if err != nil {
		return nil, false, err
	}
	found := map[string]*Group{}
	next, err := b.scan(ctx, f, 1, func(l Letter) bool {
		g := found[l.Group]
		if g == nil {
			g = &Group{ID: l.Group, Stage: l.Stage, Class: l.Class, Cause: cause(&l), First: l.At}
			found[l.Group] = g
		}
		g.Count++
		g.Last, g.Example = l.At, l
		switch _, ok := redriven[recordKey(&l)]; {
		case ok:
			g.Redriven++
		case l.CostNanoUSD > 0:
			g.CostKnown++
			g.CostNanoUSD += l.CostNanoUSD
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	groups = make([]Group, 0, len(found))
	for _, g := range found {
		groups = append(groups, *g)
	}
	expect(groups)
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.ID, b.ID)) })
	return groups, next == 0, nil
}

// expect adds the mean for those letters whose cost is not known: the group's, or else
// that of all groups.
func expect(groups []Group) {
	var sum, known int64
	for i := range groups {
		sum, known = sum+groups[i].CostNanoUSD, known+int64(groups[i].CostKnown)
	}
	for i := range groups {
		g := &groups[i]
		unknown := int64(g.Count - g.Redriven - g.CostKnown)
		switch {
		case g.CostKnown > 0:
			g.CostNanoUSD += unknown * (g.CostNanoUSD / int64(g.CostKnown))
		case known > 0:
			g.CostNanoUSD = unknown * (sum / known)
		}
	}
}

func groupID(l *Letter) string {
	h := sha256.Sum256([]byte(l.Stage + "\x00" + string(l.Class) + "\x00" + cause(l)))
	return hex.EncodeToString(h[:6])
}

var (
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	word   = regexp.MustCompile(`[0-9A-Za-z_-]*[0-9][0-9A-Za-z_-]*(\.[0-9]+)*`)
)

// longID is the length from which a word with a digit in it counts as an id.
const longID = 12

// maxCause bounds a cause.
const maxCause = 300

// cause is a letter's error with names, ids and numbers masked: what is in quotes, the
// job's id, words that begin with a digit, and long ones with a digit in them.
func cause(l *Letter) string {
	text := quoted.ReplaceAllString(l.Error, `"…"`)
	text = word.ReplaceAllStringFunc(text, func(w string) string {
		switch {
		case w == l.Job:
			return "JOB"
		case len(w) >= longID && !strings.Contains(w, "-") || len(w) >= 2*longID:
			return "ID"
		case w[0] >= '0' && w[0] <= '9':
			return "N" + strings.TrimLeft(w, "0123456789.")
		}
		return w
	})
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "")
	}
	return text
}
