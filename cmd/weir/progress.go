package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/weir-dev/weir/pkg/event"
)

// progress shows how far an ingestion is: a bar on a terminal, a line per
// document elsewhere, and the documents that failed in both.
type progress struct {
	e     *env
	total int
	bar   bool
	fd    int // of the terminal that shows the bar
	start time.Time

	mu                              sync.Mutex
	documents, failed, chunks, toks int
	lastError                       error
	drawn                           time.Time
}

func newProgress(e *env, total int) *progress {
	file, ok := e.out.(*os.File)
	p := &progress{e: e, total: total, start: time.Now()}
	if ok && !e.JSON {
		p.fd = int(file.Fd()) //nolint:gosec // a file descriptor fits
		p.bar = term.IsTerminal(p.fd)
	}
	return p
}

// add counts a finished document.
func (p *progress) add(file string, result event.Result, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.documents++
	if err != nil {
		p.failed++
		p.lastError = err
	}
	if in := result.Ingested; in != nil {
		p.chunks += in.Chunks
		p.toks += in.Tokens
	}
	p.report(file, result, err)
}

func (p *progress) report(file string, result event.Result, err error) {
	switch {
	case p.e.JSON:
		line := map[string]any{"file": file, "result": result}
		if err != nil {
			line["error"] = event.AsError(err)
		}
		p.e.printJSON(line) //nolint:errcheck // stdout may be closed
	case err != nil:
		p.clear()
		fmt.Fprintf(p.e.err, "%s: %v\n", file, err)
	case !p.bar:
		fmt.Fprintf(p.e.out, "%d/%d %s: %s\n", p.documents, p.total, file, plural(result.Ingested.Chunks, "chunk"))
	}
	if p.bar {
		p.draw()
	}
}

// drawEvery bounds how often the bar is drawn.
const drawEvery = 100 * time.Millisecond

func (p *progress) draw() {
	if now := time.Now(); now.Sub(p.drawn) >= drawEvery || p.documents == p.total {
		p.drawn = now
		p.clear()
		line := barLine(p.documents, p.total, p.chunks, now.Sub(p.start))
		if width, _, err := term.GetSize(p.fd); err == nil {
			line = fit(line, width)
		}
		fmt.Fprint(p.e.out, line)
	}
}

func (p *progress) clear() {
	if p.bar {
		fmt.Fprint(p.e.out, "\r\x1b[K")
	}
}

// barLine draws a bar with documents, chunks, rate and the time left.
func barLine(done, total, chunks int, elapsed time.Duration) string {
	const width = 24
	filled := width * done / max(1, total)
	rate := float64(done) / max(elapsed.Seconds(), 0.001)
	eta := time.Duration(float64(total-done) / max(rate, 0.001) * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("[%s%s] %d/%d documents, %s, %.0f/s, ETA %s",
		strings.Repeat("=", filled), strings.Repeat(" ", width-filled), done, total, plural(chunks, "chunk"), rate, eta)
}

// fit makes a bar's line fit into one line of a terminal, which could not be
// drawn over otherwise: the figures are worth more than the bar.
func fit(line string, width int) string {
	if _, figures, ok := strings.Cut(line, "] "); ok && len(line) >= width {
		line = figures
	}
	return line[:min(len(line), max(0, width-1))]
}

// plural is a number with its noun.
func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// end prints the sum; failed documents are an error, and so are those without a
// result because the wait was stopped.
func (p *progress) end(stopped error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	elapsed := time.Since(p.start)
	if p.bar {
		fmt.Fprintln(p.e.out)
	}
	if !p.e.JSON {
		fmt.Fprintf(p.e.out, "%s, %s, %s in %s\n", plural(p.documents-p.failed, "document"),
			plural(p.chunks, "chunk"), plural(p.toks, "token"), elapsed.Round(time.Millisecond))
	}
	if left := p.total - p.documents; left > 0 && stopped != nil {
		code, why := exitError, "interrupted"
		if errors.Is(stopped, context.DeadlineExceeded) {
			code, why = exitTimeout, "timed out"
		}
		return coded(code, "%s: %d of %d documents have no result yet; those that were sent go on, ingest again to send the rest", why, left, p.total)
	}
	if p.failed == 0 {
		return nil
	}
	code := exitJobFailed
	var c *codedError
	if errors.As(p.lastError, &c) {
		code = c.code
	}
	return coded(code, "%d of %d documents were not stored; the reasons are above", p.failed, p.total)
}
