package catalog

import (
	"cmp"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Defaults of what a file leaves out.
const (
	defaultMaxTokens = 1024
	defaultEncoding  = "o200k_base"
	defaultTTFT      = Duration(30 * time.Second)
	defaultIdle      = Duration(20 * time.Second)
	defaultTotal     = Duration(3 * time.Minute)
	defaultShare     = 1
	defaultAlertAt   = 0.8
	// The overhead of a chat is OpenAI's: tokens per message, name and reply.
	defaultPerMessage, defaultPerName, defaultReply = 3, 1, 3
)

// Values of Budget.Period and Budget.Policy.
const (
	PeriodDay   = "day"
	PeriodMonth = "month"
	PolicyWait  = "wait"
	PolicyFail  = "fail"
)

// Model finds a model by its id or an alias.
func (c *Catalog) Model(name string) (Model, bool) {
	for i := range c.Models { // a Model is large
		if m := &c.Models[i]; m.ID == name || slices.Contains(m.Aliases, name) {
			return *m, true
		}
	}
	return Model{}, false
}

// Provider finds a provider by its id.
func (c *Catalog) Provider(id string) (Provider, bool) {
	i := slices.IndexFunc(c.Providers, func(p Provider) bool { return p.ID == id })
	if i < 0 {
		return Provider{}, false
	}
	return c.Providers[i], true
}

// ChatModels lists the models that chat, in the order of the file.
func (c *Catalog) ChatModels() []Model { return c.mode(ModeChat) }

// EmbeddingModels lists the models that embed, in the order of the file.
func (c *Catalog) EmbeddingModels() []Model { return c.mode(ModeEmbedding) }

// RerankModels lists the models that rerank, in the order of the file.
func (c *Catalog) RerankModels() []Model { return c.mode(ModeRerank) }

// Embedding finds the embedding model that a setting names. Its vectors' dimensions
// are known, or it is an error of the setting.
func (c *Catalog) Embedding(setting, name string) (Model, error) {
	m, ok := c.Model(name)
	if !ok || m.Mode != ModeEmbedding || m.Dimensions < 1 {
		return Model{}, event.Invalid(setting, "name an embedding model of the catalog, with its dimensions",
			"the catalog has no embedding model %q with dimensions", name)
	}
	return m, nil
}

func (c *Catalog) mode(mode Mode) []Model {
	var out []Model
	for _, m := range c.Models {
		if m.Mode == mode {
			out = append(out, m)
		}
	}
	return out
}

// Chain lists the ids of the models to try for name (an id or an alias), each
// once: the model, its fallbacks in order, then theirs. It is nil for an
// unknown name.
func (c *Catalog) Chain(name string) []string {
	m, ok := c.Model(name)
	if !ok {
		return nil
	}
	out := []string{m.ID}
	for i := 0; i < len(out); i++ {
		m, _ := c.Model(out[i])
		for _, f := range m.Fallback {
			next, ok := c.Model(f)
			if ok && !slices.Contains(out, next.ID) {
				out = append(out, next.ID)
			}
		}
	}
	return out
}

// Group is the limit group of the model: the limits of its provider that it
// shares with the others of the group.
func (m Model) Group() string {
	if m.Limits.Group != "" {
		return m.Limits.Group
	}
	return m.ID
}

// Dimensions are the names of what Limits may bound, in their usual order.
func Dimensions() []string {
	return []string{"rpm", "tpm", "itpm", "otpm", "rpd", "tpd", "concurrency", "batch_queue_tokens"}
}

// Numbers are the limits by dimension; 0 is no limit.
func (l Limits) Numbers() map[string]int64 {
	return map[string]int64{
		"rpm": l.RPM, "tpm": l.TPM, "itpm": l.ITPM, "otpm": l.OTPM, "rpd": l.RPD, "tpd": l.TPD,
		"concurrency": l.Concurrency, "batch_queue_tokens": l.BatchQueueTokens,
	}
}

// DeprecatedAt reports whether the model's deprecation day has come.
func (m Model) DeprecatedAt(t time.Time) bool {
	day, err := time.Parse(time.DateOnly, m.Deprecated)
	return err == nil && !t.Before(day)
}

// Tenant is what is agreed with tenant id: its own entry, or the default one.
func (c *Catalog) Tenant(id string) Tenant {
	t := c.Default
	if i := slices.IndexFunc(c.Tenants, func(t Tenant) bool { return t.ID == id }); i >= 0 {
		t = c.Tenants[i]
	}
	t.ID = id
	return t.withDefaults()
}

// withDefaults fills the zero fields. The budget is copied, not changed.
func (t Tenant) withDefaults() Tenant {
	if t.Share == 0 {
		t.Share = defaultShare
	}
	if t.Budget == nil {
		return t
	}
	b := *t.Budget
	if b.Policy == "" {
		b.Policy = PolicyWait
	}
	if b.AlertAt == 0 {
		b.AlertAt = defaultAlertAt
	}
	t.Budget = &b
	return t
}

// NanoUSD is the budget in nano-USD. It is 0 for an amount that Parse would
// have refused.
func (b Budget) NanoUSD() int64 {
	n, err := parseUSD(b.USD)
	if err != nil {
		return 0
	}
	return n
}

// Window is the budget's period that now lies in, in UTC: from start up to, but
// not including, end.
func (b Budget) Window(now time.Time) (start, end time.Time) {
	y, m, d := now.UTC().Date()
	if b.Period == PeriodMonth {
		start = time.Date(y, m, 1, 0, 0, 0, 0, time.UTC)
		return start, start.AddDate(0, 1, 0)
	}
	start = time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	return start, start.AddDate(0, 0, 1)
}

// setDefaults gives a model what its entry may leave out and where zero is a
// value of its own.
func (m *Model) setDefaults() {
	calibrate := true
	m.Tokens = Tokens{
		Encoding: defaultEncoding, PerMessage: defaultPerMessage, PerName: defaultPerName, Reply: defaultReply,
		Ratio: 1, Calibrate: &calibrate,
	}
}

// fill gives a read model the defaults of its zero fields.
func (m *Model) fill(d Dialect) {
	if m.Mode == ModeEmbedding || m.Mode == ModeRerank {
		b := &m.Batch
		b.Items, b.Tokens, b.Bytes = cmp.Or(b.Items, d.Batch.Items), cmp.Or(b.Tokens, d.Batch.Tokens), cmp.Or(b.Bytes, d.Batch.Bytes)
	}
	if m.MaxTokens == 0 && m.Mode == ModeChat {
		m.MaxTokens = defaultMaxTokens
		if m.Context.Output > 0 {
			m.MaxTokens = min(m.MaxTokens, m.Context.Output)
		}
	}
	t := &m.Timeouts
	t.Total = cmp.Or(t.Total, defaultTotal)
	t.TTFT = cmp.Or(t.TTFT, min(defaultTTFT, t.Total))
	t.Idle = cmp.Or(t.Idle, min(defaultIdle, t.Total))
}

// Std is d as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d as a Go string.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes d as a Go string.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a Go string.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}
