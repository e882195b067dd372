// Package pdfium reads the text of PDF files with PDFium, compiled to
// WebAssembly and run in a sandbox: a hostile file can neither read files nor
// outlive its deadline nor take more than a fixed amount of memory.
package pdfium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	gopdfium "github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/weir-dev/weir/pkg/parse"
)

// memoryPages bounds the memory of one instance, in pages of 64 KiB: 512 MiB.
const memoryPages = 8192

// ErrClosed is the error of a closed Reader.
var ErrClosed = errors.New("the PDF reader is closed")

var _ parse.PDF = (*Reader)(nil)

// Config says how to run PDFium.
type Config struct {
	// CacheDir keeps the compiled module between starts; it is made if it
	// doesn't exist. Without it ("") every process compiles for several
	// seconds.
	CacheDir string
	// Instances is how many files are read at once; 0 means 1. An instance
	// holds some ten MB of memory while it reads.
	Instances int
}

// Reader reads PDF files. It starts on first use.
type Reader struct {
	cfg Config

	mu     sync.Mutex // guards the start and the close
	pool   gopdfium.Pool
	cache  wazero.CompilationCache
	closed bool
}

// New returns a Reader. The caller closes it.
func New(cfg Config) *Reader {
	cfg.Instances = max(cfg.Instances, 1)
	return &Reader{cfg: cfg}
}

// Pages implements parse.PDF. A call waits for a free instance until ctx ends.
func (r *Reader) Pages(ctx context.Context, data []byte, limit int) ([]string, error) {
	pool, err := r.start()
	if err != nil {
		return nil, err
	}
	inst, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("waiting for a PDF reader: %w", err)
	}
	// Killing the instance is what ends a call that hangs.
	stop := context.AfterFunc(ctx, func() { _ = inst.Kill() })
	defer func() {
		if stop() {
			_ = inst.Close()
		}
	}()
	pages, err := readPages(ctx, inst, data, limit)
	if cause := ctx.Err(); cause != nil {
		return nil, cause
	}
	return pages, err
}

// start returns the pool of instances, made by the first call.
func (r *Reader) start() (gopdfium.Pool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	if r.pool != nil {
		return r.pool, nil
	}
	if err := r.openCache(); err != nil {
		return nil, err
	}
	rc := wazero.NewRuntimeConfig().
		WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling). // the module needs both
		WithCompilationCache(r.cache).
		WithCloseOnContextDone(true).
		WithMemoryLimitPages(memoryPages)
	pool, err := webassembly.Init(webassembly.Config{
		MaxIdle: r.cfg.Instances, MaxTotal: r.cfg.Instances,
		RuntimeConfig: rc, FSConfig: wazero.NewFSConfig(), // no files at all; the default mounts "/"
		Stdout: io.Discard, Stderr: io.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("starting PDFium: %w", err)
	}
	r.pool = pool
	return pool, nil
}

// openCache opens the cache of compiled code, in memory without a folder.
func (r *Reader) openCache() error {
	if r.cache != nil {
		return nil
	}
	if r.cfg.CacheDir == "" {
		r.cache = wazero.NewCompilationCache()
		return nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(r.cfg.CacheDir)
	if err != nil {
		return fmt.Errorf("opening the cache of compiled code: %w", err)
	}
	r.cache = cache
	return nil
}

// Close ends all instances; reads under way fail.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	var errs []error
	if r.pool != nil {
		errs = append(errs, r.pool.Close())
	}
	if r.cache != nil {
		errs = append(errs, r.cache.Close(context.Background()))
	}
	return errors.Join(errs...)
}

// readPages reads the text of all pages.
func readPages(ctx context.Context, inst gopdfium.Pdfium, data []byte, limit int) ([]string, error) {
	doc, err := inst.OpenDocument(&requests.OpenDocument{File: &data})
	if err != nil {
		return nil, openError(err)
	}
	count, err := inst.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: doc.Document})
	if err != nil {
		return nil, fmt.Errorf("counting pages: %w", err)
	}
	if count.PageCount > limit {
		return nil, &parse.PagesError{Pages: count.PageCount, Max: limit}
	}
	pages := make([]string, 0, count.PageCount)
	for i := range count.PageCount {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		text, err := readPage(inst, doc.Document, i)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", i+1, err)
		}
		pages = append(pages, text)
	}
	return pages, nil
}

// openError names what package parse tells apart.
func openError(err error) error {
	if errors.Is(err, pdferrors.ErrPassword) || errors.Is(err, pdferrors.ErrSecurity) {
		return fmt.Errorf("%w: %w", parse.ErrPassword, err)
	}
	return err
}

// readPage reads the text of one page.
func readPage(inst gopdfium.Pdfium, doc references.FPDF_DOCUMENT, index int) (string, error) {
	text, err := inst.GetPageText(&requests.GetPageText{
		Page: requests.Page{ByIndex: &requests.PageByIndex{Document: doc, Index: index}}})
	if err != nil {
		return "", err
	}
	return text.Text, nil
}
