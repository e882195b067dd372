package llmsim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// metrics serves the counters in Prometheus' text format.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	l := s.Ledger()
	var b strings.Builder
	head := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	head("llmsim_requests_total", "counter", "Requests by model and HTTP status, 0 for none.")
	for _, c := range s.ledger.counts() {
		fmt.Fprintf(&b, "llmsim_requests_total{model=%q,code=\"%d\"} %d\n", c.model, c.status, c.n)
	}
	head("llmsim_tokens_total", "counter", "Tokens by kind.")
	fmt.Fprintf(&b, "llmsim_tokens_total{kind=\"prompt\"} %d\nllmsim_tokens_total{kind=\"cached\"} %d\nllmsim_tokens_total{kind=\"completion\"} %d\n",
		l.PromptTokens, l.CachedTokens, l.CompletionTokens)
	head("llmsim_limit_level", "gauge", "What a limit has left.")
	now := s.clock.now()
	for _, g := range s.allGroups() {
		shown := g.show(now)
		for _, d := range shown.Limits {
			fmt.Fprintf(&b, "llmsim_limit_level{key=%q,group=%q,dim=%q} %d\n", shown.Key, shown.Group, d.Dim, d.Remaining)
		}
	}
	for _, m := range []struct {
		name, kind, help string
		value            int64
	}{
		{"llmsim_inflight", "gauge", "Requests in work.", int64(l.InFlight)},
		{"llmsim_paid_duplicates_total", "counter", "Payments for work that was paid before.", int64(l.DuplicatesPaid)},
		{"llmsim_cost_nano_usd_total", "counter", "Cost of all requests.", l.CostNanoUSD},
	} {
		head(m.name, m.kind, m.help)
		fmt.Fprintf(&b, "%s %d\n", m.name, m.value)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(b.String()))
}

// count is a counter with its labels.
type count struct {
	metricKey
	n int
}

// counts lists the requests by model and status.
func (l *ledger) counts() []count {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]count, 0, len(l.byModel))
	for k, n := range l.byModel {
		out = append(out, count{k, n})
	}
	slices.SortFunc(out, func(a, b count) int { return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.status, b.status)) })
	return out
}
