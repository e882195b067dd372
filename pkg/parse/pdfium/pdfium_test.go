package pdfium_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/parse/pdfium"
)

// newReader returns a reader whose compiled code is kept between test runs.
func newReader(t testing.TB, instances int) *pdfium.Reader {
	t.Helper()
	r := pdfium.New(pdfium.Config{CacheDir: filepath.Join(os.TempDir(), "weir-test-pdfium"), Instances: instances})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// span is text of a size at a place.
type span struct {
	x, y, size int
	text       string
}

// makePDF writes a PDF file of pages.
func makePDF(pages ...[]span) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(format string, args ...any) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n", len(offsets))
		fmt.Fprintf(&b, format+"\nendobj\n", args...)
	}
	b.WriteString("%PDF-1.4\n")
	var kids strings.Builder
	for i := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*i)
	}
	object("<</Type/Catalog/Pages 2 0 R>>")
	object("<</Type/Pages/Kids[%s]/Count %d>>", kids.String(), len(pages))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
	for i, page := range pages {
		var s strings.Builder
		for _, p := range page {
			fmt.Fprintf(&s, "BT /F1 %d Tf %d %d Td (%s) Tj ET\n", p.size, p.x, p.y, p.text)
		}
		object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>", 5+2*i)
		object("<</Length %d>>stream\n%sendstream", s.Len(), s.String())
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF", len(offsets)+1, start)
	return b.Bytes()
}

// article is a page with a head, a title, two columns and a page number.
func article(number int) []span {
	page := []span{{50, 770, 8, "Journal of Tests"}, {290, 30, 8, fmt.Sprint(number)}}
	if number == 1 {
		page = append(page, span{50, 730, 20, "A Study of Pages"})
	}
	for column, x := range []int{50, 310} {
		for i := range 12 {
			text := fmt.Sprintf("line %d of column %d goes on to its end and", i, column)
			if i%6 == 5 {
				text = "here a paragraph ends."
			}
			page = append(page, span{x, 700 - 12*i - 12*(i/6), 10, text})
		}
	}
	return page
}

func TestPages(t *testing.T) {
	t.Parallel()
	r := newReader(t, 1)
	pages, err := r.Pages(t.Context(), makePDF(article(1), article(2), article(3)), 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) != 3 {
		t.Fatalf("%d pages", len(pages))
	}
	paragraphs := strings.Split(pages[0], "\n\n")
	if len(paragraphs) != 5 || paragraphs[0] != "# A Study of Pages" ||
		!strings.HasPrefix(paragraphs[1], "line 0 of column 0") || !strings.HasPrefix(paragraphs[3], "line 0 of column 1") {
		t.Errorf("page 1: %q", paragraphs)
	}
	if strings.Contains(pages[1], "Journal") || strings.HasSuffix(pages[1], "2") {
		t.Errorf("running head or page number in %q", pages[1])
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	r := newReader(t, 1)
	good := makePDF(article(1), article(2))
	var tooMany *parse.PagesError
	if _, err := r.Pages(t.Context(), good, 1); !errors.As(err, &tooMany) || tooMany.Pages != 2 || tooMany.Max != 1 {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := r.Pages(t.Context(), []byte("%PDF-1.7 broken"), 9); err == nil {
		t.Error("a broken file is read")
	}
	pages, err := r.Pages(t.Context(), makePDF(nil), 9)
	if err != nil || len(pages) != 1 || pages[0] != "" {
		t.Errorf("an empty page: %q, %v", pages, err)
	}
	if _, err := r.Pages(t.Context(), good, 9); err != nil {
		t.Errorf("after errors: %v", err)
	}
}

// TestCancel checks that a call that is canceled ends, and that the next works.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := newReader(t, 1)
	many := make([][]span, 300)
	for i := range many {
		many[i] = article(i)
	}
	if _, err := r.Pages(t.Context(), makePDF(article(1)), 9); err != nil { // starts
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := r.Pages(ctx, makePDF(many...), 1000)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		if _, err := r.Pages(t.Context(), makePDF(article(1)), 9); err != nil {
			t.Errorf("after a canceled call: %v", err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	t.Parallel()
	r := newReader(t, 2)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			pages, err := r.Pages(t.Context(), makePDF(article(1), article(i)), 9)
			if err != nil || len(pages) != 2 {
				t.Errorf("%d pages, %v", len(pages), err)
			}
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	t.Parallel()
	r := pdfium.New(pdfium.Config{})
	if err := r.Close(); err != nil { // before it ever started
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := r.Pages(t.Context(), makePDF(article(1)), 9); !errors.Is(err, pdfium.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestCacheDirFails(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := pdfium.New(pdfium.Config{CacheDir: file})
	if _, err := r.Pages(t.Context(), makePDF(article(1)), 9); err == nil || !strings.Contains(err.Error(), "cache") {
		t.Errorf("error %v names no cache", err)
	}
}

func BenchmarkPages(b *testing.B) {
	r := newReader(b, 1)
	data := makePDF(article(1), article(2))
	if _, err := r.Pages(b.Context(), data, 9); err != nil { // starts
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Pages(b.Context(), data, 9); err != nil {
			b.Fatal(err)
		}
	}
}
