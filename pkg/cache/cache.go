// Package cache holds answers given before, so that a question asked again costs
// nothing. It never fails a job: whatever is wrong with the store is a miss, and
// an error that the caller may log.
//
// [Cache] finds answers to the same request, by its hash ([RequestKey]), and has
// identical requests in flight wait for the one that was first ([Cache.Lead]).
// [Semantic] finds answers to the same question in other words: the vector store
// names a neighbour, and [paraphrase.Differ] refuses it when anything in it may mean
// something else. See docs/caching.md.
//
// An entry's key begins with its tenant, and so do the permissions on it. What
// is read is compared with the tenant that asks as well.
package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// EntryVersion is the version of stored entries; another one is a miss.
const EntryVersion = 1

// Entry is an answer as it is stored.
type Entry struct {
	V      int    `json:"v"` // EntryVersion; set by [Cache.Put]
	Tenant string `json:"tenant"`
	Task   string `json:"task,omitempty"`
	// Scope is [Question.Scope] of the question, "" when the entry is not for the
	// semantic cache.
	Scope string `json:"scope,omitempty"`
	// Question is what was asked, as the user wrote it.
	Question string       `json:"question"`
	Answer   event.Answer `json:"answer"`
	Model    string       `json:"model"`
	// CostNanoUSD is what the answer cost when it was made: what a hit saves.
	CostNanoUSD int64     `json:"cost_nano_usd"`
	CreatedAt   time.Time `json:"created_at"`
	Job         string    `json:"job"` // that paid for it
	// Sources are the chunks the answer cites, by document and version.
	Sources []event.SourceVersion `json:"sources,omitempty"`
}

// Cacheable reports whether an answer may be given again: it is complete (finish
// reason "stop", or "tool_calls" of one that calls tools), not empty, and cites
// nothing its sources do not hold. Whether
// the job's temperature allows it is the caller's matter.
func Cacheable(a event.Answer) bool {
	whole := a.FinishReason == "stop" && strings.TrimSpace(a.Text) != "" || a.FinishReason == "tool_calls" && len(a.ToolCalls) > 0
	return whole && len(a.Unsupported) == 0
}

// DefaultMaxBytes is the default of [Config].MaxBytes: what the bucket takes, less
// room for headers.
const DefaultMaxBytes = 60 << 10

// Config is what a Cache needs.
type Config struct {
	// Bus holds the bucket [bus.BucketCache]. Required.
	Bus *bus.Bus
	// MaxBytes bounds an entry's JSON; a larger one is not kept. Default 0:
	// DefaultMaxBytes, which is also the most the bucket takes.
	MaxBytes int
	// Now is the clock for entries without a time. Required.
	Now func() time.Time
}

// Validate reports the first field that cannot work, with its value.
func (c Config) Validate() error {
	switch {
	case c.Bus == nil:
		return errors.New("cache config: Bus is nil; want a bus")
	case c.Now == nil:
		return errors.New("cache config: Now is nil; want a clock")
	case c.MaxBytes < 0 || c.MaxBytes > DefaultMaxBytes:
		return fmt.Errorf("cache config: MaxBytes is %d; want 1 to %d, or 0 for the default", c.MaxBytes, DefaultMaxBytes)
	}
	return nil
}

// Cache is the fleet's cache of exact answers. It is safe for concurrent use.
type Cache struct {
	bus      *bus.Bus
	maxBytes int
	now      func() time.Time
}

// New returns a Cache. It does no I/O.
func New(cfg Config) (*Cache, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	return &Cache{bus: cfg.Bus, maxBytes: cfg.MaxBytes, now: cfg.Now}, nil
}

// decode reads an entry; ok is false when it is of another version or tenant, or
// no entry at all.
func decode(data []byte, tenant string) (e *Entry, ok bool) {
	e = &Entry{}
	if json.Unmarshal(data, e) != nil || e.V != EntryVersion || e.Tenant != tenant {
		return nil, false
	}
	return e, true
}

// hashChars is the length of a [RequestKey].
const hashChars = 64

// subject is an entry's key in the bucket. It refuses names that would lead out
// of the tenant's part of it.
func subject(tenant, key string) (string, error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return "", err
	}
	if len(key) != hashChars || strings.Trim(key, "0123456789abcdef") != "" {
		return "", event.Invalid("key", "use the result of RequestKey", "is %q, no hash of a request", key)
	}
	return tenant + "." + key, nil
}

// absent reports whether err says that a key is not in the bucket.
func absent(err error) bool {
	return errors.Is(err, jetstream.ErrKeyNotFound) || errors.Is(err, jetstream.ErrKeyDeleted)
}

func unavailable(doing string, err error) error {
	return event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
}
