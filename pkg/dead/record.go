package dead

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Record says what became of a letter.
type Record struct {
	V int `json:"v"`
	// Times counts the redrives; the rest is of the last one.
	Times int       `json:"times"`
	At    time.Time `json:"at"`
	By    string    `json:"by,omitempty"`
	Job   string    `json:"job,omitempty"`
	// Edit is the merge patch of the message, when it has at most maxEdit bytes.
	Edit      json.RawMessage `json:"edit,omitempty"`
	EditBytes int             `json:"edit_bytes,omitempty"`
	// Replaced is the failed result that made way, ReplacedSeq its place in the stream
	// of results.
	Replaced    json.RawMessage `json:"replaced,omitempty"`
	ReplacedSeq uint64          `json:"replaced_seq,omitempty"`
	// Published says that the message is in its stream again: until then a repetition
	// goes on with the same redrive.
	Published bool `json:"published"`
}

const (
	recordVersion = 1
	maxEdit       = 16 << 10
	maxReplaced   = 32 << 10
)

// recordKey is the key of a letter's record. The time is in it, for the numbers begin
// anew with a new stream.
func recordKey(l *Letter) string { return fmt.Sprintf("%d-%d", l.Seq, l.At.UnixNano()) }

func (b *Box) value(ctx context.Context, l *Letter) (bus.Value[Record], error) {
	kv, err := b.bus.KeyValue(ctx, bus.BucketRedrives)
	return bus.Value[Record]{KV: kv, Key: recordKey(l), Name: "the redrives of dead letter " + strconv.FormatUint(l.Seq, 10), Decode: decodeRecord}, err
}

func decodeRecord(data []byte) (r Record, err error) {
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("decoding the record of redrives: %w", err)
	}
	if r.V != recordVersion {
		return r, event.Errorf(event.ClassUnsupported, "version %d of a record of redrives, this Weir reads %d", r.V, recordVersion)
	}
	return r, nil
}

// record is a letter's, nil without one.
func (b *Box) record(ctx context.Context, l *Letter) (*Record, error) {
	value, err := b.value(ctx, l)
	if err != nil {
		return nil, err
	}
	r, revision, err := value.Get(ctx)
	if err != nil || revision == 0 {
		return nil, err
	}
	return &r, nil
}

// redriven are the keys of the letters whose last redrive did not break off.
func (b *Box) redriven(ctx context.Context) (map[string]struct{}, error) {
	keys := map[string]struct{}{}
	err := b.bus.Each(ctx, bus.BucketRedrives, jetstream.AllKeys, func(entry jetstream.KeyValueEntry) error {
		if r, err := decodeRecord(entry.Value()); err != nil || r.Published { // a later version's is left alone
			keys[entry.Key()] = struct{}{}
		}
		return nil
	})
	return keys, err
}

// keep takes the copy of a result that makes way, without its attempts when it is
// large.
func (r *Record) keep(msg *bus.Message) {
	r.Replaced, r.ReplacedSeq = nil, 0
	if msg == nil {
		return
	}
	r.ReplacedSeq = msg.Sequence
	if len(msg.Data) <= maxReplaced && json.Valid(msg.Data) {
		r.Replaced = msg.Data
		return
	}
	var result event.Result
	if json.Unmarshal(msg.Data, &result) != nil {
		return
	}
	result.Receipt.Attempts, result.Receipt.Retrieval, result.Receipt.Routing = nil, nil, nil
	if data, err := json.Marshal(result); err == nil && len(data) <= maxReplaced {
		r.Replaced = data
	}
}

// original are the headers of a letter's message as it was.
func original(header map[string][]string) map[string][]string {
	out := map[string][]string{}
	for name, values := range header {
		if !strings.HasPrefix(name, "Nats-") && !isOurs(name) {
			out[name] = values
		}
	}
	return out
}

// removed ends with the result gone, whoever removed it.
func removed(ctx context.Context, stream jetstream.Stream, seq uint64) error {
	err := stream.DeleteMsg(ctx, seq)
	if err == nil {
		return nil
	}
	if _, missing := stream.GetMsg(ctx, seq); isGone(missing) {
		return nil
	}
	return event.Errorf(event.ClassUnavailable, "removing the failed result: %w", err)
}
