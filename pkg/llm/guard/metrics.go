package guard

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	throttled   *prometheus.CounterVec
	maybeBilled *prometheus.CounterVec
	otherModel  *prometheus.CounterVec
	reused      prometheus.Counter
	ratio       *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"model"})
	}
	m := &metrics{
		throttled:   counter("weir_guard_throttled_total", "Calls that the provider answered with 429; the job waited."),
		maybeBilled: counter("weir_guard_maybe_billed_total", "Calls that failed after they were sent, so may be on the bill."),
		otherModel:  counter("weir_guard_other_model_total", "Answers of a model other than the one asked for."),
		reused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_guard_reused_total", Help: "Answers taken from the ledger instead of a second call."}),
		ratio: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_tokens_estimate_ratio", Help: "Prompt tokens as the provider counts them per token of ours, by kind of content."},
			[]string{"model", "kind"}),
	}
	reg.MustRegister(m.throttled, m.maybeBilled, m.otherModel, m.reused, m.ratio)
	return m
}
