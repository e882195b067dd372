package ingestor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	chunks prometheus.Counter
	bytes  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		chunks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_ingestor_chunks_total", Help: "Chunks cut."}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_ingestor_document_bytes_total", Help: "Size of the parsed documents' texts in bytes."}),
	}
	reg.MustRegister(m.chunks, m.bytes)
	return m
}

func (m *metrics) observe(chunks, bytes int) {
	m.chunks.Add(float64(chunks))
	m.bytes.Add(float64(bytes))
}
