package catalog_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/weir-dev/weir/pkg/catalog"
)

// watched is a file with a watcher that runs in the bubble of a test.
type watched struct {
	*catalog.Watcher
	t    *testing.T
	file string
	log  *bytes.Buffer
	reg  *prometheus.Registry
}

// watch runs f in a bubble, where an interval passes at once.
func watch(t *testing.T, f func(w *watched)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &watched{t: t, file: filepath.Join(t.TempDir(), "catalog.yaml"), log: &bytes.Buffer{}, reg: prometheus.NewRegistry()}
		w.write(good)
		c, err := catalog.Load(w.file, now())
		if err != nil {
			t.Fatal(err)
		}
		w.Watcher = catalog.NewWatcher(catalog.WatcherConfig{Files: catalog.Files{Catalog: w.file}, Now: now, Logger: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.reg}, c)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		f(w)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// looks lets the watcher look at the file n times.
func (w *watched) looks(n int) {
	<-time.After(time.Duration(n) * catalog.DefaultInterval)
	synctest.Wait()
}

// wants checks the revision in use, the metric of it and the refused edits.
func (w *watched) wants(revision string, refused int, mistake string) {
	w.t.Helper()
	if got := w.Current().Revision; got != revision {
		w.t.Errorf("revision %s, want %s", got, revision)
	}
	if err := w.Err(); (mistake == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), mistake) {
		w.t.Errorf("error %v, want %q", err, mistake)
	}
	want := "# HELP weir_catalog_info 1 for the revision of the catalog in use.\n# TYPE weir_catalog_info gauge\nweir_catalog_info{revision=\"" + revision + "\"} 1\n"
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want), "weir_catalog_info"); err != nil {
		w.t.Error(err)
	}
	if got := strings.Count(w.log.String(), "level=ERROR"); got != refused {
		w.t.Errorf("%d errors logged, want %d:\n%s", got, refused, w.log)
	}
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "weir_catalog_reload_errors_total" && int(f.GetMetric()[0].GetCounter().GetValue()) != refused {
			w.t.Errorf("%v refused, want %d", f.GetMetric(), refused)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestWatcher: a wrong edit is refused and said once, the old catalog stays, and
// the next right edit is taken.
func TestWatcher(t *testing.T) {
	t.Parallel()
	wrong := replace(t, replace(t, good, "r1", "r2"), "fallback: [large]", "fallback: [huge]")
	right := replace(t, replace(t, good, "r1", "r3"), "input: 150", "input: 175")
	watch(t, func(w *watched) {
		changed := w.Changed()
		w.looks(3)
		w.wants("r1", 0, "")

		w.write(wrong)
		w.looks(1)
		w.wants("r1", 1, `line 18, column 16: models[0].fallback[0]: no model "huge"`)
		w.looks(5)
		w.wants("r1", 1, "catalog.yaml: line 18")
		if isClosed(changed) {
			t.Error("changed by a wrong edit")
		}

		w.write(right)
		<-changed // ends at the next look
		synctest.Wait()
		w.wants("r3", 1, "")
		if m, _ := w.Current().Model("small"); m.Prices[0].Input != 175 {
			t.Errorf("price %d", m.Prices[0].Input)
		}
		if isClosed(w.Changed()) {
			t.Error("changed twice")
		}
	})
}

// TestWatcherSameSizeAndTime: an edit that keeps the file's size and time.
func TestWatcherSameSizeAndTime(t *testing.T) {
	t.Parallel()
	watch(t, func(w *watched) {
		info, err := os.Stat(w.file)
		if err != nil {
			t.Fatal(err)
		}
		w.write(replace(t, good, "r1", "r9"))
		if err := os.Chtimes(w.file, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		w.looks(1)
		w.wants("r9", 0, "")
	})
}

// TestWatcherMissingFile: an editor that writes a new file, and a file that is
// put back as it was.
func TestWatcherMissingFile(t *testing.T) {
	t.Parallel()
	watch(t, func(w *watched) {
		if err := os.Remove(w.file); err != nil {
			t.Fatal(err)
		}
		w.looks(3)
		w.wants("r1", 1, "no such file")
		w.write(good)
		w.looks(1)
		w.wants("r1", 1, "")
		w.write("")
		w.looks(1)
		w.wants("r1", 2, "0 YAML documents")
	})
}

// TestWatcherSameRevision is taken, with a warning.
func TestWatcherSameRevision(t *testing.T) {
	t.Parallel()
	watch(t, func(w *watched) {
		w.write(replace(t, good, "input: 150", "input: 151"))
		w.looks(1)
		w.wants("r1", 0, "")
		if m, _ := w.Current().Model("small"); m.Prices[0].Input != 151 || !strings.Contains(w.log.String(), "not its revision") {
			t.Errorf("price %d, log %s", m.Prices[0].Input, w.log)
		}
	})
}

func TestWatcherWithoutFile(t *testing.T) {
	t.Parallel()
	w := catalog.NewWatcher(catalog.WatcherConfig{}, parse(t, good))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil || w.Current().Revision != "r1" || w.Err() != nil {
		t.Errorf("Run: %v, revision %s", err, w.Current().Revision)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := catalog.Load(filepath.Join(dir, "none.yaml"), now()); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(file, []byte("version: 2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Load(file, now()); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "line 1, column 10: version: version is 2") {
		t.Errorf("got %v", err)
	}
}
