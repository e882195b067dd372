package llmsim

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// AssertSpec is what must hold for what the server has seen. A nil field is
// not checked. Utilisation is of the busiest key and group with a limit.
type AssertSpec struct {
	// Max429Ratio is the most of all requests that are answered 429.
	Max429Ratio *float64 `query:"max_429_ratio"`
	// MaxErrorRatio is the most that get a 5xx status or no answer.
	MaxErrorRatio *float64 `query:"max_error_ratio"`
	// MaxDuplicatePaid counts all second payments, MaxDuplicateUnexplained
	// only those for work whose answer no fault had spoilt.
	MaxDuplicatePaid        *float64 `query:"max_duplicate_paid"`
	MaxDuplicateUnexplained *float64 `query:"max_duplicate_unexplained"`
	// MinUtilisation is of all complete windows together, MaxWindowUtilisation
	// of any sliding window, both of Width.
	MinUtilisation       *float64 `query:"min_utilisation"`
	MaxWindowUtilisation *float64 `query:"max_window_utilisation"`
	// MaxTruncatedAccepted counts truncated and lost answers after which the
	// client did not ask again, MaxForbiddenRetries requests repeated after an
	// answer that said they can't succeed.
	MaxTruncatedAccepted *float64 `query:"max_truncated_accepted"`
	MaxForbiddenRetries  *float64 `query:"max_forbidden_retries"`
	MaxAttempts          *float64 `query:"max_attempts"`
	MaxClientGone        *float64 `query:"max_client_gone"`
	MinRequests          *float64 `query:"min_requests"`
	MaxCostNanoUSD       *float64 `query:"max_cost_nano_usd"`
	// Width of the windows; 0 is 60s.
	Width time.Duration
}

// parseAssert reads a spec from a query.
func parseAssert(query url.Values) (AssertSpec, error) {
	spec := AssertSpec{}
	fields := map[string]*(*float64){}
	v := reflect.ValueOf(&spec).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("query"); name != "" {
			fields[name], _ = v.Field(i).Addr().Interface().(**float64)
		}
	}
	for name, values := range query {
		text := values[len(values)-1]
		if name == "width" {
			width, err := time.ParseDuration(text)
			if err != nil {
				return spec, fmt.Errorf("width is %q, want 1s, 10s or 60s", text)
			}
			spec.Width = width
			continue
		}
		field, ok := fields[name]
		if !ok {
			return spec, fmt.Errorf("%s is unknown, want %s", name, assertNames())
		}
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n >= 0) {
			return spec, fmt.Errorf("%s is %q, want a number of at least 0", name, text)
		}
		*field = &n
	}
	return spec, nil
}

// assertNames lists what can be asserted.
func assertNames() string {
	var names []string
	t := reflect.TypeFor[AssertSpec]()
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("query"); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(append(names, "width"), ", ")
}

// Assert returns what of spec does not hold, nothing when all does.
func (s *Server) Assert(spec AssertSpec) []string {
	if spec.Width == 0 {
		spec.Width = time.Minute
	}
	windows, err := s.Windows(spec.Width)
	if err != nil {
		return []string{err.Error()}
	}
	l := s.Ledger()
	errors := 0
	for status, n := range l.Statuses {
		if status == 0 || status >= 500 {
			errors += n
		}
	}
	ratio := func(n int) float64 { return float64(n) / float64(max(1, l.Requests)) }
	mean, top := 0.0, 0.0
	for _, w := range windows {
		mean, top = max(mean, w.Utilisation), max(top, w.MaxSliding)
	}
	failed := []string{}
	check := func(name string, want *float64, got float64, least bool) {
		switch {
		case want == nil:
		case least && got < *want:
			failed = append(failed, fmt.Sprintf("%s is %.6g, want at least %.6g", name, got, *want))
		case !least && got > *want:
			failed = append(failed, fmt.Sprintf("%s is %.6g, want at most %.6g", name, got, *want))
		}
	}
	check("429 ratio", spec.Max429Ratio, ratio(l.Statuses[429]), false)
	check("error ratio", spec.MaxErrorRatio, ratio(errors), false)
	check("duplicates paid", spec.MaxDuplicatePaid, float64(l.DuplicatesPaid), false)
	check("duplicates unexplained", spec.MaxDuplicateUnexplained, float64(l.DuplicatesUnexplained), false)
	check("utilisation", spec.MinUtilisation, mean, true)
	check("window utilisation", spec.MaxWindowUtilisation, top, false)
	check("truncated accepted", spec.MaxTruncatedAccepted, float64(l.TruncatedAccepted), false)
	check("forbidden retries", spec.MaxForbiddenRetries, float64(l.ForbiddenRetries), false)
	check("attempts", spec.MaxAttempts, float64(l.MaxAttempts), false)
	check("clients gone", spec.MaxClientGone, float64(l.ClientGone), false)
	check("requests", spec.MinRequests, float64(l.Requests), true)
	check("cost", spec.MaxCostNanoUSD, float64(l.CostNanoUSD), false)
	return failed
}
