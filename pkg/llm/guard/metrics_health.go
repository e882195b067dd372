package guard

import "github.com/prometheus/client_golang/prometheus"

// healthMetrics is also a collector: a state may end by mere time, so it is
// looked up when asked for.
type healthMetrics struct {
	h           *Health
	state       *prometheus.Desc
	alone       *prometheus.Desc
	transitions *prometheus.CounterVec
	slow        *prometheus.CounterVec
}

func newHealthMetrics(h *Health, reg prometheus.Registerer) *healthMetrics {
	labels := []string{"provider", "group"}
	m := &healthMetrics{
		h: h,
		state: prometheus.NewDesc("weir_breaker_state",
			"State of a provider's group of models: 0 closed, 1 probing, 2 open, 3 parked.", labels, nil),
		alone: prometheus.NewDesc("weir_breaker_alone",
			"1 while the fleet's state is out of reach and the breakers of this worker act alone.", nil, nil),
		transitions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_breaker_transitions_total", Help: "Changes of state that this worker caused, by the new state.",
		}, append(labels, "to")),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_breaker_slow_calls_total", Help: "Answers so slow that they count as failures.",
		}, labels),
	}
	reg.MustRegister(m, m.transitions, m.slow)
	return m
}

// Describe implements prometheus.Collector.
func (m *healthMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.state
	ch <- m.alone
}

// Collect implements prometheus.Collector.
func (m *healthMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.h.Statuses() {
		ch <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, s.State.level(), s.Target.Provider, s.Target.Group)
	}
	alone := 0.0
	if m.h.alone.Load() {
		alone = 1
	}
	ch <- prometheus.MustNewConstMetric(m.alone, prometheus.GaugeValue, alone)
}

func (m *healthMetrics) changed(t Target, to State) {
	m.transitions.WithLabelValues(t.Provider, t.Group, string(to)).Inc()
}
