package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/pkoukk/tiktoken-go"
	loader "github.com/pkoukk/tiktoken-go-loader"
	"github.com/tmc/langchaingo/textsplitter"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/tokens"
	"github.com/weir-dev/weir/test/internal/figures"
)

// benchChunk measures chunking beside langchaingo's token splitter of the same
// limit, overlap and encoding, and beside sha256, on the same text, and leaves
// the chunks. A ratio is how many times as fast the chunker is; the median over
// rounds that measure all, one after the other.
//
// The splitter gets the whole text at once, its best case: it sets up its
// encoder in every call. The keys that hold _files are of cutting file by file,
// as ingestion does; that is measured once, as it takes the splitter so long.
func benchChunk(ctx context.Context, c *corpus, found figures.Figures) error {
	counter, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		return fmt.Errorf("making a counter: %w", err)
	}
	opt := chunk.DefaultOptions(counter)
	n := 0
	for _, doc := range c.docs {
		chunks, err := chunk.Split(doc.Document, opt)
		if err != nil {
			return fmt.Errorf("%s: %w", doc.name, err)
		}
		c.chunks = append(c.chunks, chunks)
		n += len(chunks)
	}
	text := joined(c.docs)
	whole, err := parse.Parse(ctx, parse.Input{MediaType: "text/markdown", Data: []byte(text)})
	if err != nil {
		return fmt.Errorf("parsing all documents as one: %w", err)
	}
	rivals, err := newRivals(opt)
	if err != nil {
		return err
	}
	var samples []chunkSample
	for range c.rounds {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s, err := rivals.sample(c.docs, whole, opt)
		if err != nil {
			return err
		}
		samples = append(samples, s)
	}
	files, err := rivals.files(c.docs)
	if err != nil {
		return err
	}
	found["langchaingo_files_mb_s"] = float64(len(text)) / 1e6 / files
	report(found, samples, float64(len(text))/1e6, n)
	return nil
}

// joined returns the texts of documents as one.
func joined(docs []document) string {
	var b strings.Builder
	for _, doc := range docs {
		b.WriteString(doc.Text + "\n\n")
	}
	return b.String()
}

// chunkSample is the seconds of one round.
type chunkSample struct{ files, whole, sha256, langchaingo float64 }

func report(found figures.Figures, samples []chunkSample, megabytes float64, chunks int) {
	seconds := func(of func(chunkSample) float64) float64 {
		var values []float64
		for _, s := range samples {
			values = append(values, of(s))
		}
		return figures.Median(values)
	}
	for name, of := range map[string]func(chunkSample) float64{
		"chunk_files_mb_s": func(s chunkSample) float64 { return s.files },
		"chunk_mb_s":       func(s chunkSample) float64 { return s.whole },
		"sha256_mb_s":      func(s chunkSample) float64 { return s.sha256 },
		"langchaingo_mb_s": func(s chunkSample) float64 { return s.langchaingo },
	} {
		found[name] = megabytes / seconds(of)
	}
	found["chunks_s"] = float64(chunks) / seconds(func(s chunkSample) float64 { return s.files })
	found["chunker_ratio_langchaingo"] = seconds(func(s chunkSample) float64 { return s.langchaingo / s.whole })
	found["chunker_ratio_langchaingo_files"] = found["chunk_files_mb_s"] / found["langchaingo_files_mb_s"]
	found["chunker_ratio_sha256"] = seconds(func(s chunkSample) float64 { return s.sha256 / s.whole })
}

// rivals are what the chunker is compared with.
type rivals struct{ splitter textsplitter.TokenSplitter }

// newRivals makes langchaingo's token splitter, with the vocabulary compiled in.
func newRivals(opt chunk.Options) (*rivals, error) {
	tiktoken.SetBpeLoader(loader.NewOfflineLoader())
	r := &rivals{textsplitter.NewTokenSplitter(textsplitter.WithEncodingName(tokens.Cl100kBase),
		textsplitter.WithChunkSize(opt.MaxTokens), textsplitter.WithChunkOverlap(opt.Overlap))}
	if _, err := r.splitter.SplitText("it reads the vocabulary at the first use"); err != nil {
		return nil, fmt.Errorf("by langchaingo: %w", err)
	}
	return r, nil
}

// sample measures one round.
func (r *rivals) sample(docs []document, whole parse.Document, opt chunk.Options) (s chunkSample, err error) {
	files := func() {
		for _, doc := range docs {
			_, _ = chunk.Split(doc.Document, opt) // checked before
		}
	}
	s.files = timed(stageSample, files)
	s.whole = timed(stageSample, func() { _, err = chunk.Split(whole, opt) })
	if err != nil {
		return s, fmt.Errorf("all documents as one: %w", err)
	}
	s.langchaingo = timed(stageSample, func() { _, err = r.splitter.SplitText(whole.Text) })
	if err != nil {
		return s, fmt.Errorf("by langchaingo: %w", err)
	}
	data := []byte(whole.Text)
	s.sha256 = timed(stageSample, func() { sha256.Sum256(data) })
	return s, nil
}

// files returns the seconds langchaingo takes file by file.
func (r *rivals) files(docs []document) (float64, error) {
	start := time.Now()
	for _, doc := range docs {
		if _, err := r.splitter.SplitText(doc.Text); err != nil {
			return 0, fmt.Errorf("%s by langchaingo: %w", doc.name, err)
		}
	}
	return time.Since(start).Seconds(), nil
}
