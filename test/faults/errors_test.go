package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
)

// outcome is what must become of a job whose first call fails.
type outcome int

const (
	again   outcome = iota // the model is called once more
	another                // it is not, the fallback answers
	failed                 // nobody is called again
)

// failure is a provider's way to fail.
type failure struct {
	does llmsim.Action
	want outcome
	// class is that of a job that fails.
	class event.Class
}

// failures are all error answers that the simulator knows by name, and those that
// are inside of an answer.
func failures(t *testing.T) map[string]failure {
	t.Helper()
	out := map[string]failure{
		"content-filter": {llmsim.Action{Content: "content_filter"}, failed, event.ClassContent},
		"refusal":        {llmsim.Action{Content: "refusal"}, failed, event.ClassContent},
		"no-choices":     {llmsim.Action{Content: "empty_choices"}, again, ""},
		"error-in-200":   {llmsim.Action{Status200Error: true}, again, ""},
		"reset":          {llmsim.Action{Reset: true}, again, ""},
		"close":          {llmsim.Action{Close: true}, again, ""},
	}
	for preset, f := range map[string]failure{
		"openai.context_length": {want: another}, "openai.too_large": {want: another},
		"openai.insufficient_quota": {want: another}, "openai.credit_exhausted": {want: another}, "anthropic.spend_limit": {want: another},
		"gemini.no_quota": {want: another}, "openrouter.no_credit": {want: another}, "openai.invalid_api_key": {want: another},
		"openai.model_not_found": {want: failed, class: event.ClassInvalid},
		// As they are, but for the wait they ask for.
		"azure.rate_limit": {does: llmsim.Action{Body: `{"error":{"code":"429","message":"Requests to the ChatCompletions_Create Operation have exceeded the token rate limit of your current pricing tier. Please retry after 1 seconds."}}`}},
		"gemini.exhausted": {does: llmsim.Action{Body: `[{"error":{"code":429,"message":"You exceeded your current quota. Please retry in 1s.","status":"RESOURCE_EXHAUSTED",
			"details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}]}}]`}},
	} {
		out[preset] = f
	}
	for _, preset := range llmsim.ErrorPresets() {
		f := out[preset]
		f.does.Preset, f.does.RetryAfter = preset, "none"
		out[preset] = f
	}
	return out
}

// failing is a catalog with a provider and a model for each failure, that none of
// them parks or opens the breaker of another.
func failing(all map[string]failure) (rules []llmsim.Fault, upstreams []string, catalog func(string) string) {
	var providers, models strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		id, dialect := modelOf(name), "sim"
		if kind, _, ok := strings.Cut(name, "."); ok && kind != "html" {
			dialect = kind
		}
		upstreams = append(upstreams, id)
		rules = append(rules, llmsim.Fault{Name: name, Match: llmsim.Match{Model: id, FirstAttempts: 1}, Do: all[name].does})
		fmt.Fprintf(&providers, "  - {id: %s, base_url: URL, dialect: %s, override: {auth: bearer}}\n", id, dialect)
		fmt.Fprintf(&models, "  - {id: %s, provider: %[1]s, upstream: %[1]s, mode: chat, price: [{input: 150, output: 600}], fallback: [large]}\n", id)
	}
	return rules, upstreams, func(s string) string {
		_, url, _ := strings.Cut(s, "base_url: ")
		url, _, _ = strings.Cut(url, ",")
		s = strings.Replace(s, "models:\n", strings.ReplaceAll(providers.String(), "URL", url)+"models:\n", 1)
		return s + models.String()
	}
}

func modelOf(name string) string { return strings.NewReplacer(".", "-", "_", "-").Replace(name) }

// TestErrorsOfProviders: what may pass is tried again, what won't goes to the
// fallback or ends at once.
func TestErrorsOfProviders(t *testing.T) {
	t.Parallel()
	all := failures(t)
	rules, upstreams, catalog := failing(all)
	r := start(t, options{faults: llmsim.Faults{Rules: rules}, catalog: catalog,
		sim: func(c *llmsim.Config) { c.ChatModels = append(c.ChatModels, upstreams...) }})
	var ids []string
	for name := range all {
		ids = append(ids, r.job(modelOf(name), modelOf(name)))
	}
	results := r.await(ids)
	calls := map[string]int{}
	for _, e := range r.primary.Ledger().Last {
		calls[e.Model]++
	}
	for name, f := range all {
		i := slices.IndexFunc(results, func(got event.Result) bool { return got.ID == modelOf(name) })
		r.became(name, f, results[i], calls[modelOf(name)])
	}
	r.bounded(results)
	r.accounted(results)
}

// became checks one job's end.
func (r *rig) became(name string, f failure, got event.Result, calls int) {
	r.t.Helper()
	want := map[outcome]int{again: 2, another: 1, failed: 1}[f.want]
	if calls != want {
		r.t.Errorf("%s: %d calls, want %d (%+v)", name, calls, want, got.Receipt.Attempts)
	}
	if f.want == failed {
		if got.Status != event.StatusFailed || got.Error.Class != f.class {
			r.t.Errorf("%s: %s %+v, want it failed as %s", name, got.Status, got.Error, f.class)
		}
		return
	}
	model := modelOf(name)
	if f.want == another {
		model = "large"
	}
	if got.Status == event.StatusOK && got.Answer.Model != model {
		r.t.Errorf("%s: %s answered, want %s", name, got.Answer.Model, model)
	}
	r.whole([]event.Result{got})
}

// TestAttemptsAreBounded: a job that fails whenever it is called ends with its last
// call, and takes no other with it.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, options{catalog: alone, faults: llmsim.Faults{Rules: []llmsim.Fault{
		{Name: "doomed", Match: llmsim.Match{Regex: "about doomed"}, Do: llmsim.Action{Preset: "openai.server_error"}}}}})
	const calls = 3
	doomed := r.publish(event.GenerateJob{Envelope: event.Envelope{ID: "doomed"}, MaxAttempts: calls})
	results := r.await(append(r.submit("q", 60), doomed))
	others, got := results[:60], results[60]
	r.whole(others)
	if got.Status != event.StatusFailed || got.Error.Class != event.ClassUnavailable || len(got.Receipt.Attempts) != calls {
		t.Errorf("result %s %+v with %d calls, want it unavailable after %d", got.Status, got.Error, len(got.Receipt.Attempts), calls)
	}
	if n := r.primary.Requests(); n != len(others)+calls {
		t.Errorf("%d calls, want %d", n, len(others)+calls)
	}
	r.bounded(results)
	r.accounted(results)
}
