package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Total is the sum of the lines of one day, tenant and model. A day is a UTC
// day, a line's is that on which the stream stored it.
type Total struct {
	// Sequence is the last line that is in: lines up to it are not added again.
	Sequence uint64 `json:"seq"`
	Sum
}

// Sum is what lines add up to.
type Sum struct {
	Calls int64 `json:"calls"`
	// Failed calls have an error, Maybe of them may be billed all the same.
	Failed     int64 `json:"failed"`
	Maybe      int64 `json:"maybe"`
	Prompt     int64 `json:"prompt"`
	Cached     int64 `json:"cached"` // part of Prompt
	Completion int64 `json:"completion"`
	// CostNanoUSD is the cost of all calls; MaybeNanoUSD the part of it that may
	// not be billed: the estimates of calls without a known outcome.
	CostNanoUSD  int64 `json:"cost_nano_usd"`
	MaybeNanoUSD int64 `json:"maybe_nano_usd"`
}

// Add adds another sum.
func (s *Sum) Add(o Sum) {
	s.Calls += o.Calls
	s.Failed += o.Failed
	s.Maybe += o.Maybe
	s.Prompt = plus(s.Prompt, o.Prompt)
	s.Cached = plus(s.Cached, o.Cached)
	s.Completion = plus(s.Completion, o.Completion)
	s.CostNanoUSD = plus(s.CostNanoUSD, o.CostNanoUSD)
	s.MaybeNanoUSD = plus(s.MaybeNanoUSD, o.MaybeNanoUSD)
}

// plus adds two amounts that are not negative and stops at the largest.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// sum is what one line adds.
func (s sums) sum() Sum {
	sum := Sum{Calls: 1, Prompt: s.Prompt, Cached: s.Cached, Completion: s.Completion, CostNanoUSD: s.Cost}
	if s.Error != "" {
		sum.Failed = 1
	}
	if s.Maybe {
		sum.Maybe, sum.MaybeNanoUSD = 1, s.Cost
	}
	return sum
}

// add adds the lines that are not in yet, in the order of the stream, and
// reports whether there were any.
func (t *Total) add(lines []head) bool {
	before := t.Sequence
	for _, line := range lines {
		if line.sequence > t.Sequence {
			t.Add(line.sum())
			t.Sequence = line.sequence
		}
	}
	return t.Sequence != before
}

// totalKey is the key of the total that a line belongs to.
func (h head) totalKey() string {
	return day(h.stored) + "." + h.tenant + "." + h.Model
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// parseTotalKey is the reverse of totalKey; false is another kind of key.
func parseTotalKey(key string) (day, tenant, model string, ok bool) {
	parts := strings.Split(key, ".")
	if len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// addTo adds lines to the total under key. The total carries the last line it
// has, so it is exact whoever adds and however often.
func addTo(ctx context.Context, kv jetstream.KeyValue, key string, lines []head) error {
	total := bus.Value[Total]{KV: kv, Key: key, Name: "total " + key,
		Decode: func(data []byte) (Total, error) { return decodeTotal(key, data) }}
	_, err := total.Change(ctx, func(t *Total) error {
		if !t.add(lines) {
			return bus.ErrKeep
		}
		return nil
	})
	return err
}

func decodeTotal(key string, data []byte) (Total, error) {
	var total Total
	if err := json.Unmarshal(data, &total); err != nil {
		return total, &event.Error{Class: event.ClassInternal, Field: key, Message: fmt.Sprintf("decoding total: %v", err),
			Hint: "the value was not written by Weir: remove the key from the bucket", Err: err}
	}
	return total, nil
}

// storeError makes an error of a bucket one with a class.
func storeError(doing string, err error) error {
	var e *event.Error
	if errors.As(err, &e) {
		return err
	}
	return unavailable(doing, err)
}
