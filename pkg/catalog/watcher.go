package catalog

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// DefaultInterval is how often a watched file is looked at.
const DefaultInterval = 2 * time.Second

// Load reads and checks the catalog file at path.
func Load(path string, now time.Time) (*Catalog, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c, err := Parse(data, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
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
	// Path of the file; "" watches nothing, for a catalog that has no file.
	Path string
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

	// Of Run alone: the file as it was last read, and what was last refused.
	size    int64
	modTime time.Time
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
		cfg: cfg, current: c, changed: make(chan struct{}), size: -1,
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
	if w.cfg.Path == "" {
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

// look reads the file if it may have changed.
func (w *Watcher) look(ctx context.Context) {
	info, err := os.Stat(w.cfg.Path)
	if err != nil {
		w.size = -1
		w.refuse(ctx, err.Error(), fmt.Errorf("reading the catalog: %w", err))
		return
	}
	if w.sameFile(info) {
		return
	}
	data, err := readFile(w.cfg.Path)
	if err != nil {
		w.refuse(ctx, err.Error(), err)
		return
	}
	w.size, w.modTime = info.Size(), info.ModTime()
	w.take(ctx, data)
}

// sameFile reports whether the file is as it was read. A file that was written
// a moment ago may be written again within the same tick of the file system's
// clock, so it counts as changed.
func (w *Watcher) sameFile(info fs.FileInfo) bool {
	return info.Size() == w.size && info.ModTime().Equal(w.modTime) && w.cfg.Now().Sub(w.modTime) > 2*w.cfg.Interval
}

// take puts the file's content to use, if it is new and right.
func (w *Watcher) take(ctx context.Context, data []byte) {
	hash := contentHash(data)
	old := w.Current()
	if hash == old.content {
		w.settle(nil)
		return
	}
	c, err := Parse(data, w.cfg.Now())
	if err != nil {
		w.refuse(ctx, hash, fmt.Errorf("%s: %w", w.cfg.Path, err))
		return
	}
	if c.Revision == old.Revision {
		w.cfg.Logger.WarnContext(ctx, "the catalog changed, but not its revision: costs can't be traced to one state of it", "revision", c.Revision)
	}
	w.info.WithLabelValues(c.Revision).Set(1)
	if c.Revision != old.Revision {
		w.info.DeleteLabelValues(old.Revision)
	}
	w.settle(c)
	w.cfg.Logger.InfoContext(ctx, "catalog loaded", "revision", c.Revision, "models", len(c.Models))
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
	w.cfg.Logger.ErrorContext(ctx, "the catalog file is refused; the old catalog stays in use", "path", w.cfg.Path, "revision", w.Current().Revision, "error", err)
}
