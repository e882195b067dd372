package router

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

type metrics struct {
	retrieval prometheus.Histogram
	fallbacks *prometheus.CounterVec
	escalated *prometheus.CounterVec
	hits      *prometheus.CounterVec
	unaudited prometheus.Counter
	reverts   *prometheus.CounterVec
	labels    *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	turn      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		retrieval: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_router_retrieval_seconds", Help: "Time to embed a question and find its sources.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		}),
		fallbacks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_router_fallbacks_total", Help: "Tasks that one model could not do and another took.",
		}, []string{"from", "to"}),
	}
	m.escalated = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_router_escalations_total", Help: "Answers that were not accepted, and the model asked next.",
	}, []string{"task", "from", "to"})
	m.hits = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_router_cache_hits_total", Help: "Jobs answered without a model, by kind: exact, semantic, flight.",
	}, []string{"kind", "task"})
	m.unaudited = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_router_audits_skipped_total", Help: "Comparisons that the day's money did not allow.",
	})
	m.reverts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_router_policy_reverts_total", Help: "Alarms that put a task back to its policy table.",
	}, []string{"task"})
	m.labels = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_router_labels_total", Help: "What became known of answers, by its source (audit, agreement, feedback) and whether they were right.",
	}, []string{"task", "source", "right"})
	m.waiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_router_waiting", Help: "Jobs that this process has and that wait for their turn at a model, by lane.",
	}, []string{"lane"})
	m.turn = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "weir_router_turn_seconds", Help: "Time that jobs waited for their turn, of those that had to.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 12), // 1 ms to 70 min
	}, []string{"lane"})
	reg.MustRegister(m.waiting, m.turn, m.retrieval, m.fallbacks, m.escalated, m.hits, m.unaudited, m.reverts, m.labels)
	return m
}

// moved counts a task that went on from one model to another.
func (m *metrics) moved(how, from, to, task string) {
	if how == event.LifeEscalated {
		m.escalated.WithLabelValues(task, from, to).Inc()
		return
	}
	m.fallbacks.WithLabelValues(from, to).Inc()
}
