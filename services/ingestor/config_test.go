package ingestor

import (
	"testing"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestConfigErrorsNameTheVariable: and the value, for each field that New
// refuses; the defaults are valid.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	stagetest.WrongConfigs[Config]{
		{"WEIR_INGESTOR_EMBEDDING_MODEL", "missing"}:  func(c *Config) { c.EmbeddingModel = "" },
		{"WEIR_INGESTOR_EMBEDDING_MODEL", `"a b"`}:    func(c *Config) { c.EmbeddingModel = "a b" },
		{"WEIR_INGESTOR_ENCODING", "runes"}:           func(c *Config) { c.Encoding = "runes" },
		{"WEIR_INGESTOR_CHUNK_TOKENS", "15"}:          func(c *Config) { c.ChunkTokens = 15 },
		{"WEIR_INGESTOR_CHUNK_OVERLAP", "129"}:        func(c *Config) { c.ChunkOverlap = 129 },
		{"WEIR_INGESTOR_MAX_DOCUMENT_BYTES", "got 0"}: func(c *Config) { c.MaxDocumentBytes = 0 },
		{"WEIR_INGESTOR_PDF_INSTANCES", "got 0"}:      func(c *Config) { c.PDFInstances = 0 },
		{"WEIR_INGESTOR_INTERACTIVE_SLOTS", "got 0"}:  func(c *Config) { c.InteractiveSlots = 0 },
		{"WEIR_INGESTOR_BATCH_SLOTS", "got -1"}:       func(c *Config) { c.BatchSlots = -1 },
		{"WEIR_INGESTOR_FLEET_SLOTS", "got 0"}:        func(c *Config) { c.FleetSlots = 0 },
		{"WEIR_INGESTOR_MAX_DELIVERIES", "got 0"}:     func(c *Config) { c.MaxDeliveries = 0 },
	}.Check(t, DefaultConfig, func(cfg Config) error {
		_, err := New(platform.Platform{NATS: b.Conn()}, cfg, Ports{})
		return err
	})
}
