package catalog

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultInterval is how often a watched file is looked at.
const DefaultInterval = 2 * time.Second

// Load reads and checks the catalog file at path.
func Load(path string, now time.Time) (*Catalog, error) { return Files{Catalog: path}.Load(nil, now) }

// Files are what a catalog is read from.
type Files struct {
	// Catalog is the path of the catalog file; "" takes one that is given.
	Catalog string
	// Policies is the path of the policies file; "" has none.
	Policies string
	// Tenants is the path of the tenants file; "" has none, and asks nobody for a key.
	Tenants string
}

// Load reads and checks the files. Without a catalog file the providers and models
// are those of base.
func (f Files) Load(base *Catalog, now time.Time) (*Catalog, error) {
	in, err := f.read()
	if err != nil {
		return nil, err
	}
	return f.parse(in, base, now)
}

// contents are what the files hold, and the path of the policy table they name.
type contents struct {
	catalog, policies, table, tenants []byte
	tablePath                         string
}

// hash names the contents.
func (in *contents) hash() string {
	return contentHash(fmt.Appendf(nil, "%d/%d/%d/%s%s%s%s", len(in.catalog), len(in.policies), len(in.table), in.catalog, in.policies, in.table, in.tenants))
}

func (f Files) read() (*contents, error) {
	in := &contents{}
	for _, file := range []struct {
		path string
		into *[]byte
	}{{f.Catalog, &in.catalog}, {f.Policies, &in.policies}, {f.Tenants, &in.tenants}} {
		if file.path == "" {
			continue
		}
		var err error
		if *file.into, err = readFile(file.path); err != nil {
			return nil, err
		}
	}
	if in.tablePath = f.tableOf(in.policies); in.tablePath != "" {
		var err error
		if in.table, err = readFile(in.tablePath); err != nil {
			return nil, fmt.Errorf("%s: table: %w", f.Policies, err)
		}
	}
	return in, nil
}

// tableOf is the path of the policy table that the policies name, if they do so
// readably; what is wrong with them is told by parsing them.
func (f Files) tableOf(policies []byte) string {
	var named struct {
		Table string `yaml:"table"`
	}
	if yaml.Unmarshal(policies, &named) != nil || named.Table == "" {
		return ""
	}
	if filepath.IsAbs(named.Table) {
		return named.Table
	}
	return filepath.Join(filepath.Dir(f.Policies), named.Table)
}

func (f Files) parse(in *contents, base *Catalog, now time.Time) (*Catalog, error) {
	c := base
	if f.Catalog != "" {
		var err error
		if c, err = Parse(in.catalog, now); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Catalog, err)
		}
	}
	var err error
	if f.Policies != "" {
		if c, err = c.withPolicies(in.policies, in.table); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Policies, err)
		}
	}
	if f.Tenants != "" {
		if c, err = c.WithTenants(in.tenants); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Tenants, err)
		}
	}
	return c, nil
}

// readFile stops reading where Parse would refuse the size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the catalog: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog: %w", err)
	}
	return data, nil
}

// WatcherConfig says what to watch.
type WatcherConfig struct {
	// Files are watched; without any the catalog stays as it is.
	Files
	// Interval between looks at the file; 0 is DefaultInterval.
	Interval time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets an error for each refused edit; nil is none.
	Logger *slog.Logger
	// Registerer gets the metrics; nil is nobody's.
	Registerer prometheus.Registerer
}

// Watcher keeps the catalog of a file up to date. An edit that is wrong, or a
// file that can't be read, is logged once and the old catalog stays.
type Watcher struct {
	cfg    WatcherConfig
	info   *prometheus.GaugeVec
	errors prometheus.Counter

	mu      sync.Mutex
	current *Catalog
	changed chan struct{}
	err     error

	// Of Run alone: the files as they were last read, and what was last refused.
	base    *Catalog
	read    []stamp
	table   string // path
	hash    string // of the contents in use
	refused string
}

// NewWatcher returns a watcher that has c, as Load or Default returned it, until
// the file says otherwise.
func NewWatcher(cfg WatcherConfig, c *Catalog) *Watcher {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	w := &Watcher{
		cfg: cfg, current: c, base: c.bare(), changed: make(chan struct{}),
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_catalog_info", Help: "1 for the revision of the catalog in use.",
		}, []string{"revision"}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_catalog_reload_errors_total", Help: "Edits of the catalog file that were refused.",
		}),
	}
	cfg.Registerer.MustRegister(w.info, w.errors)
	w.info.WithLabelValues(c.Revision).Set(1)
	return w
}

// Current is the catalog in use.
func (w *Watcher) Current() *Catalog {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// Changed is closed when the catalog that is in use now is replaced. Take it
// before Current: then no change goes unseen.
func (w *Watcher) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// Err is why the file as it is now is not in use, nil if it is.
func (w *Watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Ready is closed: there is a catalog from the start.
func (w *Watcher) Ready() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// Run watches the file until ctx ends, and returns nil.
func (w *Watcher) Run(ctx context.Context) error {
	if w.cfg.Files == (Files{}) {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(w.cfg.Interval)
	defer ticker.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// stamp tells one state of a file from another.
type stamp struct {
	size    int64
	modTime time.Time
}

// look reads the files if one may have changed.
func (w *Watcher) look(ctx context.Context) {
	stamps, err := w.stamps()
	if err != nil {
		w.read = nil
		w.refuse(ctx, err.Error(), fmt.Errorf("reading the catalog: %w", err))
		return
	}
	if w.unchanged(stamps) {
		return
	}
	in, err := w.cfg.read()
	if err != nil {
		w.refuse(ctx, err.Error(), err)
		return
	}
	w.read, w.table = stamps, in.tablePath
	w.take(ctx, in)
}

func (w *Watcher) stamps() ([]stamp, error) {
	var out []stamp
	for _, path := range []string{w.cfg.Catalog, w.cfg.Policies, w.cfg.Tenants, w.table} {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err == nil:
			out = append(out, stamp{info.Size(), info.ModTime()})
		case path == w.table && path != w.cfg.Catalog: // the policies may name another one by now
			out = append(out, stamp{})
		default:
			return nil, err
		}
	}
	return out, nil
}

// unchanged reports whether the files are as they were read. One that was written
// a moment ago may be written again within the same tick of the file system's
// clock, so it counts as changed.
func (w *Watcher) unchanged(stamps []stamp) bool {
	return slices.EqualFunc(stamps, w.read, func(a, b stamp) bool {
		return a.size == b.size && a.modTime.Equal(b.modTime) && w.cfg.Now().Sub(a.modTime) > 2*w.cfg.Interval
	})
}

// take puts the files' content to use, if it is new and right.
func (w *Watcher) take(ctx context.Context, in *contents) {
	hash, old := in.hash(), w.Current()
	if hash == w.hash {
		w.settle(nil)
		return
	}
	c, err := w.cfg.parse(in, w.base, w.cfg.Now())
	if err != nil {
		w.refuse(ctx, hash, err)
		return
	}
	w.hash = hash
	if c.content == old.content && c.Routing.revision() == old.Routing.revision() && c.Access.revision() == old.Access.revision() {
		w.settle(nil)
		return
	}
	if c.Revision == old.Revision && c.content != old.content {
		w.cfg.Logger.WarnContext(ctx, "the catalog changed, but not its revision: costs can't be traced to one state of it", "revision", c.Revision)
	}
	w.info.WithLabelValues(c.Revision).Set(1)
	if c.Revision != old.Revision {
		w.info.DeleteLabelValues(old.Revision)
	}
	w.settle(c)
	w.cfg.Logger.InfoContext(ctx, "catalog loaded", "revision", c.Revision, "models", len(c.Models), "policies", c.Routing.revision(), "tasks", len(c.Tasks()), "tenants", len(c.Tenants))
}

// settle ends a trouble, if there was one, and puts c to use unless it is nil.
func (w *Watcher) settle(c *Catalog) {
	w.refused = ""
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = nil
	if c != nil {
		w.current = c
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// refuse keeps the old catalog and says why, once for each content.
func (w *Watcher) refuse(ctx context.Context, content string, err error) {
	if content == w.refused {
		return
	}
	w.refused = content
	w.mu.Lock()
	w.err = err
	w.mu.Unlock()
	w.errors.Inc()
	w.cfg.Logger.ErrorContext(ctx, "the catalog is refused; the old one stays in use", "path", cmp.Or(w.cfg.Catalog, w.cfg.Policies, w.cfg.Tenants), "revision", w.Current().Revision, "error", err)
}
