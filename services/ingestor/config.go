package ingestor

import (
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/stage"
)

// Config is the ingestor's settings, from WEIR_INGESTOR_<FIELD_NAME>.
type Config struct {
	// EmbeddingModel is the embedder to send chunks to.
	EmbeddingModel string `split_words:"true"`
	// Encoding is the token encoding of the embedding model: o200k_base or
	// cl100k_base.
	Encoding string `split_words:"true"`
	// ChunkTokens is the hard limit of a chunk; ChunkOverlap is how many tokens
	// at most it repeats of the one before.
	ChunkTokens  int `split_words:"true"`
	ChunkOverlap int `split_words:"true"`
	// MaxDocumentBytes is the largest document.
	MaxDocumentBytes int `split_words:"true"`
	// PDFCache is the folder that keeps the compiled PDF reader between starts,
	// which takes several seconds; "" is one in this user's cache. PDFInstances is how many PDFs are read at once.
	PDFCache     string `split_words:"true"`
	PDFInstances int    `split_words:"true"`
	// Fetch is how documents are got by URL, as WEIR_INGESTOR_FETCH_<FIELD_NAME>.
	Fetch fetch.Config
	// Workers says how many documents this process has in work.
	stage.Workers
}

// DefaultConfig fits the other services' defaults.
func DefaultConfig() Config {
	fetching := fetch.DefaultConfig()
	fetching.Settings, fetching.MaxBytes = "WEIR_INGESTOR_FETCH", 0 // 0 is MaxDocumentBytes
	return Config{
		EmbeddingModel: "embed", Encoding: "cl100k_base", ChunkTokens: 256, ChunkOverlap: 32,
		MaxDocumentBytes: parse.DefaultMaxBytes, PDFInstances: 2,
		Fetch:   fetching,
		Workers: stage.DefaultWorkers(8),
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_INGESTOR"
	if err := event.CheckName(prefix+"_EMBEDDING_MODEL", c.EmbeddingModel); err != nil {
		return err
	}
	if err := config.Positive(prefix,
		config.Int{Name: "MAX_DOCUMENT_BYTES", Value: c.MaxDocumentBytes}, config.Int{Name: "PDF_INSTANCES", Value: c.PDFInstances}); err != nil {
		return err
	}
	if err := c.Fetch.Validate(); err != nil {
		return err
	}
	return c.Workers.Validate(prefix)
}
