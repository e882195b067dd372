package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/vector/vectortest/load"
	"github.com/weir-dev/weir/test/internal/figures"
)

// dimension is the length of the vectors of embed and upsert, that of small
// embedding models.
const dimension = 384

// benchEmbed measures how many chunks a second the simulator's embedder takes
// through its HTTP endpoint, one request of load.Batch chunks after the other:
// what our side costs, as the simulator's model is nearly free.
func benchEmbed(ctx context.Context, c *corpus, found figures.Figures) error {
	cfg := llmsim.DefaultConfig()
	srv, err := llmsim.New(cfg)
	if err != nil {
		return fmt.Errorf("making the simulator: %w", err)
	}
	var texts []string
	for _, chunks := range c.chunks {
		for _, chunk := range chunks {
			texts = append(texts, chunk.EmbedText())
		}
	}
	return serve(ctx, srv, func() error {
		client, err := openai.New(openai.DefaultConfig(srv.URL()))
		if err != nil {
			return fmt.Errorf("making a client: %w", err)
		}
		defer client.Close()
		var seconds []float64
		for range c.rounds {
			seconds = append(seconds, timed(stageSample, func() {
				if err == nil {
					err = embed(ctx, client, cfg.EmbeddingModels[0], texts)
				}
			}))
		}
		found["embed_chunks_s"] = float64(len(texts)) / figures.Median(seconds)
		return err
	})
}

func embed(ctx context.Context, client llm.Embedder, model string, texts []string) error {
	for batch := range slices.Chunk(texts, load.Batch) {
		if _, err := client.Embed(ctx, llm.EmbedRequest{Model: model, Inputs: batch, Dimensions: dimension}); err != nil {
			return fmt.Errorf("embedding: %w", err)
		}
	}
	return nil
}
