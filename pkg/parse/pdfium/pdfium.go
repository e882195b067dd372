// Package pdfium reads the text of PDF files with PDFium, compiled to
// WebAssembly and run in a sandbox: a hostile file can neither read files nor
// outlive its deadline nor take more than a fixed amount of memory.
package pdfium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	gopdfium "github.com/klippa-app/go-pdfium"
	pdferrors "github.com/klippa-app/go-pdfium/errors"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/structs"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/weir-dev/weir/pkg/parse"
)

// memoryPages bounds the memory of one instance, in pages of 64 KiB: 512 MiB.
const memoryPages = 8192

// softHyphen ends a line whose last word goes on on the next.
const softHyphen = "\u00ad"

// boldWeight is the least weight of bold letters, on the scale of 100 to 900.
const boldWeight = 600

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
	pages := make([][]line, 0, count.PageCount)
	for i := range count.PageCount {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		lines, err := readPage(inst, doc.Document, i)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", i+1, err)
		}
		pages = append(pages, lines)
	}
	return layout(pages), nil
}

// openError names what package parse tells apart.
func openError(err error) error {
	if errors.Is(err, pdferrors.ErrPassword) || errors.Is(err, pdferrors.ErrSecurity) {
		return fmt.Errorf("%w: %w", parse.ErrPassword, err)
	}
	return err
}

// readPage reads the lines of one page.
func readPage(inst gopdfium.Pdfium, doc references.FPDF_DOCUMENT, index int) ([]line, error) {
	loaded, err := inst.FPDF_LoadPage(&requests.FPDF_LoadPage{Document: doc, Index: index})
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = inst.FPDF_ClosePage(&requests.FPDF_ClosePage{Page: loaded.Page}) }()
	page, err := inst.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: requests.Page{ByReference: &loaded.Page}})
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = inst.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: page.TextPage}) }()
	count, err := inst.FPDFText_CountChars(&requests.FPDFText_CountChars{TextPage: page.TextPage})
	if err != nil || count.Count <= 0 {
		return nil, err
	}
	text, err := inst.FPDFText_GetText(&requests.FPDFText_GetText{TextPage: page.TextPage, Count: count.Count})
	if err != nil {
		return nil, err
	}
	return readLines(inst, page.TextPage, text.Text)
}

// hyphen reports PDFium's marks of a word divided at the line end: it takes the
// hyphen and the line break away.
func hyphen(r rune) bool { return r == '\uFFFE' || r == 0x02 }

// readLines returns the lines of a page's text with their places.
func readLines(inst gopdfium.Pdfium, page references.FPDF_TEXTPAGE, text string) ([]line, error) {
	var lines []line
	index := 0 // in UTF-16 code units, as PDFium counts
	for len(text) > 0 {
		raw := text
		if i := strings.IndexFunc(text, func(r rune) bool { return r == '\n' || hyphen(r) }); i >= 0 {
			_, size := utf8.DecodeRuneInString(text[i:])
			raw = text[:i+size]
		}
		text = text[len(raw):]
		first := index + utf16Len(raw[:len(raw)-len(strings.TrimLeftFunc(raw, blank))])
		body := strings.TrimFunc(raw, blank)
		index += utf16Len(raw)
		if body == "" {
			continue
		}
		l := line{text: body}
		if err := place(inst, page, &l, first, first+utf16Len(body)-1); err != nil {
			return nil, err
		}
		if r, _ := utf8.DecodeLastRuneInString(raw); hyphen(r) {
			l.text += softHyphen
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func blank(r rune) bool { return unicode.IsSpace(r) || r == 0 || hyphen(r) }

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// place finds where a line stands by its first and last characters.
func place(inst gopdfium.Pdfium, page references.FPDF_TEXTPAGE, l *line, first, last int) error {
	a, err := charBox(inst, page, first)
	if err != nil {
		return err
	}
	b, err := charBox(inst, page, last)
	if err != nil {
		return err
	}
	l.left, l.right = float64(a.Left), float64(b.Right)
	l.bottom, l.top = float64(min(a.Bottom, b.Bottom)), float64(max(a.Top, b.Top))
	l.size = math.Abs(float64(max(a.Top-a.Bottom, b.Top-b.Bottom)))
	weight, err := inst.FPDFText_GetFontWeight(&requests.FPDFText_GetFontWeight{TextPage: page, Index: first})
	l.bold = err == nil && weight.FontWeight >= boldWeight
	return nil
}

// charBox returns the box of a character by its index in the text.
func charBox(inst gopdfium.Pdfium, page references.FPDF_TEXTPAGE, textIndex int) (structs.FPDF_FS_RECTF, error) {
	char, err := inst.FPDFText_GetCharIndexFromTextIndex(&requests.FPDFText_GetCharIndexFromTextIndex{TextPage: page, NTextIndex: textIndex})
	if err != nil {
		return structs.FPDF_FS_RECTF{}, err
	}
	box, err := inst.FPDFText_GetLooseCharBox(&requests.FPDFText_GetLooseCharBox{TextPage: page, Index: char.CharIndex})
	if err != nil { // a character PDFium made up has no place
		return structs.FPDF_FS_RECTF{}, nil //nolint:nilerr // the text counts more than where it stands
	}
	return box.Rect, nil
}
