package main

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/test/internal/figures"
)

// stageSample is the time of a sample of a stage.
const stageSample = time.Second

// benchParse measures parsing and leaves the documents.
func benchParse(ctx context.Context, c *corpus, found figures.Figures) error {
	for _, f := range c.files {
		doc, err := parse.Parse(ctx, input(f))
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		c.docs = append(c.docs, document{doc, f.name})
	}
	var seconds []float64
	for range c.rounds {
		seconds = append(seconds, timed(stageSample, func() {
			for _, f := range c.files {
				_, _ = parse.Parse(ctx, input(f)) // checked above
			}
		}))
	}
	found["parse_mb_s"] = megabytes(c.files) / figures.Median(seconds)
	return ctx.Err()
}
