package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

const (
	recordVersion = 1
	// Keys of the bucket: the record of a target, and the lease of who probes it.
	statePrefix = "state."
	probePrefix = "probe."
)

// record is a target's state as the fleet shares it; a missing key is a closed
// one, so to delete it lifts a park.
type record struct {
	V        int         `json:"v"`
	Provider string      `json:"provider"`
	Group    string      `json:"group,omitempty"`
	State    State       `json:"state"` // open, parked or closed
	Until    time.Time   `json:"until,omitzero"`
	Opens    int         `json:"opens,omitempty"` // how often in a row it was opened again
	Reason   string      `json:"reason,omitempty"`
	Class    event.Class `json:"class,omitempty"`
	By       string      `json:"by"`
}

// key is the target in the alphabet of keys: provider.group, other characters as
// =XX.
func (t Target) key() string {
	if t.Group == "" {
		return token(t.Provider)
	}
	return token(t.Provider) + "." + token(t.Group)
}

func token(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// parseKey is the reverse of key.
func parseKey(key string) (Target, bool) {
	provider, group, _ := strings.Cut(key, ".")
	var t Target
	for _, part := range []struct {
		text string
		into *string
	}{{provider, &t.Provider}, {group, &t.Group}} {
		var b strings.Builder
		for i := 0; i < len(part.text); i++ {
			c := part.text[i]
			if c == '=' {
				if _, err := fmt.Sscanf(part.text[i:], "=%02X", &c); err != nil {
					return Target{}, false
				}
				i += 2
			}
			b.WriteByte(c)
		}
		*part.into = b.String()
	}
	return t, t.Provider != "" && t.key() == key
}

// follow watches the bucket until ctx ends.
func (h *Health) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := h.watch(ctx); err != nil && ctx.Err() == nil {
			h.reached(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
}

// watch takes over what other workers write, until ctx or the watch ends. A
// connection that was lost is a reason to begin again: the watch itself would
// notice only by heartbeats, after 20 s.
func (h *Health) watch(ctx context.Context) error {
	conn := h.cfg.JetStream.Conn()
	connected := conn.StatusChanged(nats.CONNECTED)
	defer conn.RemoveStatusListener(connected)
	w, err := h.cfg.KV.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watching bucket %s: %w", h.cfg.KV.Bucket(), err)
	}
	defer w.Stop() //nolint:errcheck // it ends with the connection
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-connected:
			return nil
		case entry, ok := <-w.Updates():
			switch {
			case !ok:
				return fmt.Errorf("watching bucket %s: the watch ended", h.cfg.KV.Bucket())
			case entry == nil: // all that was there has come
				h.caughtUp()
			default:
				h.heard(entry)
			}
		}
	}
}

// caughtUp is called by one goroutine only.
func (h *Health) caughtUp() {
	h.reached(nil)
	select {
	case <-h.ready:
	default:
		close(h.ready)
	}
}

// heard takes over one entry.
func (h *Health) heard(entry jetstream.KeyValueEntry) {
	kind, key, _ := strings.Cut(entry.Key(), ".")
	t, ok := parseKey(key)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch kind + "." {
	case probePrefix:
		h.heardProbeLocked(h.target(t), entry)
	case statePrefix:
		h.heardStateLocked(h.target(t), entry)
	}
}

func (h *Health) heardProbeLocked(e *target, entry jetstream.KeyValueEntry) {
	if entry.Operation() == jetstream.KeyValuePut {
		e.probe.held = h.cfg.Now().Add(h.cfg.Settings.ProbeTTL)
		return
	}
	e.probe.held, e.probe.tried = time.Time{}, time.Time{}
	h.poke() // it may be ours now
}

// heardStateLocked takes over a record, unless ours is newer: one that is not in
// the bucket yet, or that was written later than this.
func (h *Health) heardStateLocked(e *target, entry jetstream.KeyValueEntry) {
	if e.dirty || entry.Revision() <= e.revision {
		return
	}
	r := record{State: Closed}
	if entry.Operation() == jetstream.KeyValuePut {
		if err := json.Unmarshal(entry.Value(), &r); err != nil || r.V != recordVersion {
			h.cfg.Logger.Warn("ignoring the state of a provider that can't be read", "key", entry.Key(), "version", r.V, "error", err)
			return
		}
	}
	e.revision = entry.Revision()
	if r.State == Closed && e.record.State != Open && e.record.State != Parked {
		return // no news
	}
	h.adoptLocked(e, r)
}

// publish writes a record that is not in the bucket yet.
func (h *Health) publish(ctx context.Context, e *target) error {
	h.mu.RLock()
	dirty, r := e.dirty, e.record
	h.mu.RUnlock()
	if !dirty {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the state of %s: %w", e.Target, err)
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	revision, err := h.cfg.KV.Put(ctx, statePrefix+e.key(), data)
	if err != nil {
		return fmt.Errorf("publishing the state of %s: %w", e.Target, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e.revision = max(e.revision, revision)
	e.dirty = e.dirty && e.record != r // it may have changed meanwhile
	return nil
}
