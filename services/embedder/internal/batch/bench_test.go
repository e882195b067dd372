package batch

import (
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// BenchmarkEmbed is what the batcher itself takes per text: 16 documents of 100
// texts at once, at a provider that takes no time.
func BenchmarkEmbed(b *testing.B) {
	p := &provider{}
	list := numbered("a text of a length that is usual for a passage of a document, ", 100)
	for i := range list {
		list[i].Tokens = 256
	}
	batcher := batching(b, p, func(c *Config) { c.Items, c.Linger = 512, 5*time.Millisecond })
	b.ReportAllocs()
	for b.Loop() {
		var documents sync.WaitGroup
		for range 16 {
			documents.Go(func() {
				if _, _, err := batcher.Embed(b.Context(), call(event.LaneBatch), list); err != nil {
					b.Error(err)
				}
			})
		}
		documents.Wait()
	}
	calls := p.sent()
	b.ReportMetric(float64(b.N*1600)/float64(len(calls)), "texts/call")
}
