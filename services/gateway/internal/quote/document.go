package quote

import (
	"cmp"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
)

const (
	// withHeadings is what the headings and overlaps of chunks add to a document, as
	// it is usual and at most.
	withHeadings     = 1.15
	withHeadingsMost = 2
	// bytesPerToken is what the text of a file has, at least.
	bytesPerToken = 4
	// largestDocument is that of a file that is not there yet, in tokens.
	largestDocument = 1 << 20
)

// ingest quotes the embedding of a document: nothing if it is there already.
func (q *Quoter) ingest(in *intake.Checked, out *Quote) error {
	job, err := event.DecodeIngestJob(in.Address.Subject(), in.Body)
	if err != nil {
		return err
	}
	d := &job.Document
	likely := q.cfg.Counter.CountText(q.cfg.EmbeddingModel, d.Text)
	most := likely
	switch {
	case d.URL != "":
		likely, most = usualDocument, largestDocument
	case len(d.Data) > 0:
		likely, most = len(d.Data)/bytesPerToken, len(d.Data)
	}
	out.Tokens.Own = likely
	q.embeddings(out, Range{Low: 0, Likely: int64(float64(likely) * withHeadings), High: int64(most * withHeadingsMost)}, q.cfg.EmbeddingModel)
	return nil
}

// usualDocument is that of a file that is not there yet, in tokens.
const usualDocument = 2000

// embed quotes the vectors of texts.
func (q *Quoter) embed(in *intake.Checked, out *Quote) error {
	job, err := event.DecodeEmbedJob(in.Address.Subject(), in.Body)
	if err != nil {
		return err
	}
	c := q.cfg.Catalog()
	m, ok := c.Model(cmp.Or(job.Model, q.cfg.EmbeddingModel))
	if !ok || m.Mode != catalog.ModeEmbedding {
		return event.Invalid("model", "leave it out, or name an embedding model of the catalog", "unknown embedding model %q", job.Model)
	}
	n := 0
	for _, text := range job.Inputs {
		n += q.cfg.Counter.CountText(m.ID, text)
	}
	out.Tokens.Own, out.Models = n, []string{m.ID}
	q.embeddings(out, Range{Low: int64(n) * 9 / 10, Likely: int64(n), High: int64(n) * 12 / 10}, m.ID)
	return nil
}

// embeddings prices tokens that are embedded.
func (q *Quoter) embeddings(out *Quote, tokens Range, model string) {
	out.Tokens.Prompt = tokens
	m, _ := q.cfg.Catalog().Model(model)
	price, _ := m.PriceAt(q.cfg.Now())
	cost := func(n int64) int64 { return price.Cost(catalog.Usage{Input: int(n)}, "") }
	out.call = cost(tokens.Likely)
	out.Cost = Range{cost(tokens.Low), cost(tokens.Likely), cost(tokens.High)}
}
