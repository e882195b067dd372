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

	mu sync.Mutex
	tally
	failed    int
	lastError error
	drawn     time.Time
	running   map[string]event.Progress // of documents whose chunks are being embedded
}

// tally sums up what was done.
type tally struct {
	documents, unchanged, chunks, embedded, reused, toks int
}

func newProgress(e *env, total int) *progress {
	file, ok := e.out.(*os.File)
	p := &progress{e: e, total: total, start: time.Now(), running: map[string]event.Progress{}}
	if ok && !e.JSON {
		p.fd = int(file.Fd()) //nolint:gosec // a file descriptor fits
		p.bar = term.IsTerminal(p.fd)
	}
	return p
}

// life notes how far a large document has come.
func (p *progress) life(l event.Life) {
	if l.Progress == nil || !p.bar {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[l.ID] = *l.Progress
	p.draw()
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
	delete(p.running, result.ID)
	if in := result.Ingested; in != nil {
		p.chunks, p.toks = p.chunks+in.Chunks, p.toks+in.Tokens
		p.embedded, p.reused = p.embedded+in.Embedded, p.reused+in.Reused
		if in.Outcome == event.OutcomeUnchanged {
			p.unchanged++
		}
	}
	p.report(file, result, err)
}

func (p *progress) report(file string, result event.Result, err error) {
	switch {
	case p.e.JSON:
		p.e.printIngested(file, result, err)
	case err != nil:
		p.clear()
		fmt.Fprintf(p.e.err, "%s: %v\n", file, err)
	case !p.bar:
		fmt.Fprintf(p.e.out, "%d/%d %s: %s\n", p.documents, p.total, file, outcomeLine(result.Ingested))
	}
	if p.bar {
		p.draw()
	}
}

// printIngested prints what became of a document as JSON.
func (e *env) printIngested(file string, result event.Result, err error) {
	line := map[string]any{"file": file, "result": result}
	if err != nil {
		line["error"] = event.AsError(err)
	}
	e.printJSON(line) //nolint:errcheck // stdout may be closed
}

// outcomeLine says what became of a document.
func outcomeLine(in *event.Ingested) string {
	switch in.Outcome {
	case event.OutcomeStored:
		if kept := in.Chunks - in.Embedded; kept > 0 {
			return fmt.Sprintf("%s, %d embedded", plural(in.Chunks, "chunk"), in.Embedded)
		}
		return plural(in.Chunks, "chunk")
	case event.OutcomeUnchanged:
		return plural(in.Chunks, "chunk") + ", unchanged"
	case event.OutcomeDeleted:
		return fmt.Sprintf("removed with %s", plural(in.Removed, "chunk"))
	}
	return string(in.Outcome)
}

// drawEvery bounds how often the bar is drawn.
const drawEvery = 100 * time.Millisecond

func (p *progress) draw() {
	if now := time.Now(); now.Sub(p.drawn) >= drawEvery || p.documents == p.total {
		p.drawn = now
		p.clear()
		line := barLine(p.total, p.sum(), now.Sub(p.start))
		if width, _, err := term.GetSize(p.fd); err == nil {
			line = fit(line, width)
		}
		fmt.Fprint(p.e.out, line)
	}
}

// sum is the tally with what is done of the documents in work. A document counts
// in parts, by its chunks.
func (p *progress) sum() (sum partly) {
	sum = partly{tally: p.tally, done: float64(p.documents)}
	for _, r := range p.running {
		if r.Total > 0 {
			sum.chunks += r.Done
			sum.done += float64(r.Done) / float64(r.Total)
		}
	}
	return sum
}

// partly is a tally with documents that are done in part.
type partly struct {
	tally
	done float64 // documents
}

func (p *progress) clear() {
	if p.bar {
		fmt.Fprint(p.e.out, "\r\x1b[K")
	}
}

// barLine draws a bar with documents, chunks, tokens, rate and the time left.
func barLine(total int, sum partly, elapsed time.Duration) string {
	const width = 24
	filled := min(width, int(float64(width)*sum.done)/max(1, total))
	seconds := max(elapsed.Seconds(), 0.001)
	eta := "?"
	if sum.done > 0 {
		eta = time.Duration((float64(total) - sum.done) / sum.done * float64(elapsed)).Round(time.Second).String()
	}
	return fmt.Sprintf("[%s%s] %d/%d documents, %s, %s, %.0f chunks/s, ETA %s", strings.Repeat("=", filled), strings.Repeat(" ", width-filled),
		sum.documents, total, plural(sum.chunks, "chunk"), plural(sum.toks, "token"), float64(sum.chunks)/seconds, eta)
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
		fmt.Fprintf(p.e.out, "%s, %s, %s in %s", plural(p.documents-p.failed, "document"),
			plural(p.chunks, "chunk"), plural(p.toks, "token"), elapsed.Round(time.Millisecond))
		if kept := p.chunks - p.embedded; kept > 0 {
			fmt.Fprintf(p.e.out, "; %s unchanged, %s embedded, %d reused", plural(p.unchanged, "document"), plural(p.embedded, "chunk"), p.reused)
		}
		fmt.Fprintln(p.e.out)
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
