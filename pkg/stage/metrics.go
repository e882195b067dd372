package stage

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus"
)

type metrics struct {
	handled      *prometheus.CounterVec
	duration     prometheus.Histogram
	inFlight     prometheus.Gauge
	redeliveries prometheus.Counter
	tenants      prometheus.Gauge
	canceled     prometheus.Counter
}

func newMetrics(cfg Config, b *bus.Bus, reg prometheus.Registerer) *metrics {
	name := cfg.Name
	if cfg.Instance != "" {
		name += "-" + cfg.Instance
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"stage": name}, reg)
	m := &metrics{
		handled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_stage_handled_total", Help: "Handled messages by the class of their end (ok, or an error class).",
		}, []string{"class"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_stage_duration_seconds", Help: "Time to handle one message.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14), // 1 ms to 150 s
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_stage_in_flight", Help: "Messages being handled.",
		}),
		redeliveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_stage_redeliveries_total", Help: "Deliveries after the first one.",
		}),
		tenants: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_stage_tenants", Help: "Tenants pulled from, counted in each lane.",
		}),
		canceled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_stage_canceled_total", Help: "Messages of canceled jobs that were stopped in work, or dropped when they came.",
		}),
	}
	reg.MustRegister(m.handled, m.duration, m.inFlight, m.redeliveries, m.tenants, m.canceled, &backlog{bus: b, sources: cfg.Sources})
	return m
}

// backlog reports the waiting messages of a stage's consumers. It asks the
// server at each scrape, so it is true for the fleet and never stale.
type backlog struct {
	bus     *bus.Bus
	sources []Source
}

// scrapeTimeout bounds the question; without an answer there is no sample.
const scrapeTimeout = time.Second

func (b *backlog) desc() *prometheus.Desc {
	return prometheus.NewDesc("weir_stage_backlog", "Messages of all tenants that no worker holds yet.", []string{"consumer"}, nil)
}

// Describe implements prometheus.Collector.
func (b *backlog) Describe(ch chan<- *prometheus.Desc) { ch <- b.desc() }

// Collect implements prometheus.Collector.
func (b *backlog) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for _, src := range b.sources {
		waiting, err := b.bus.Backlog(ctx, src.Consumer)
		if err != nil {
			continue
		}
		ch <- prometheus.MustNewConstMetric(b.desc(), prometheus.GaugeValue, float64(waiting), src.Consumer.Durable)
	}
}
