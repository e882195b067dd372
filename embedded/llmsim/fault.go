package llmsim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Values of Action fields.
const (
	hangBeforeHeaders = "before_headers"
	hangAfterHeaders  = "after_headers"
	hangAfterEvents   = "after_events"

	cutAbort  = "abort"
	cutEOF    = "eof"
	cutNoDone = "no_done"

	errorFrame = "frame"
	errorChunk = "chunk"
	errorEvent = "event"

	contentInvalid   = "invalid_json"
	contentFenced    = "fenced_json"
	contentCut       = "cut_json"
	contentSchema    = "schema_violation"
	contentNoChoices = "empty_choices"
	contentRefusal   = "refusal"
	contentFilter    = "content_filter"

	retryNone     = "none"
	retryWrong    = "wrong"
	retryPast     = "past"
	retryHTTPDate = "http-date"
)

// Faults are what goes wrong: the rules of a preset, then own rules, of which
// the first that matches a request is applied; and brownouts. Times count from
// the moment that the faults were set.
type Faults struct {
	// Preset is one of [FaultPresets]; "" is none.
	Preset    string     `json:"preset,omitempty"`
	Rules     []Fault    `json:"rules,omitempty"`
	Brownouts []Brownout `json:"brownouts,omitempty"`
}

// Fault is a rule: what happens to which requests.
type Fault struct {
	// Name is shown in the ledger; "" is the rule's number.
	Name  string `json:"name,omitempty"`
	Match Match  `json:"match,omitzero"`
	Do    Action `json:"do"`
}

// Match selects requests; all fields that are set must fit. The same request
// in the same attempt draws the same chance on every server of a seed.
type Match struct {
	Model    string `json:"model,omitempty"` // a last * stands for any end, here and below
	Key      string `json:"key,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Regex is searched in the request's body.
	Regex string `json:"regex,omitempty"`
	// Header are request headers and their values.
	Header map[string]string `json:"header,omitempty"`
	// Nth is the one request, by arrival from 1, of those that the fields above
	// fit; Every each so manieth.
	Nth   int64 `json:"nth,omitempty"`
	Every int64 `json:"every,omitempty"`
	// Prob is the share of requests; 0 is all.
	Prob float64 `json:"prob,omitempty"`
	// From and Until bound the time, Until 0 is no end; with Cycle they are
	// within each cycle.
	From  Duration `json:"from,omitempty"`
	Until Duration `json:"until,omitempty"`
	Cycle Duration `json:"cycle,omitempty"`
	// FirstAttempts are the attempts of a request that it happens to; 0 is all.
	FirstAttempts int `json:"first_attempts,omitempty"`
}

// Action is what happens. Any of the fields may be set.
type Action struct {
	// Preset is a provider's error, one of [ErrorPresets]; the fields below
	// replace parts of it.
	Preset  string            `json:"preset,omitempty"`
	Status  int               `json:"status,omitempty"`
	Body    string            `json:"body,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	// RetryAfter is the hint of an error answer: none, wrong (no number), past
	// (a date that is over), http-date, or a number of seconds.
	RetryAfter string `json:"retry_after,omitempty"`

	// Delay is waited before anything is answered.
	Delay Duration `json:"delay,omitempty"`
	// Hang stops answering before_headers, after_headers, or after_events of a
	// stream, for HangFor or, if that is 0, until the client leaves.
	Hang    string   `json:"hang,omitempty"`
	HangFor Duration `json:"hang_for,omitempty"`
	// Reset and Close end the connection before the answer, by RST or FIN.
	Reset bool `json:"reset,omitempty"`
	Close bool `json:"close,omitempty"`
	// LostResponse does and bills the work and then closes the connection.
	LostResponse bool `json:"lost_response,omitempty"`

	// After is the number of stream events before Cut, Error, MalformedChunk
	// and Hang.
	After int `json:"after,omitempty"`
	// Cut ends a stream: abort (inside of a chunk of HTTP), eof (as if it were
	// complete), no_done (whole, but without the end mark).
	Cut string `json:"cut,omitempty"`
	// Error ends a stream with an error: frame (OpenAI), chunk (OpenRouter) or
	// event (Anthropic).
	Error            string  `json:"error,omitempty"`
	MalformedChunk   bool    `json:"malformed_chunk,omitempty"`
	SplitUTF8        bool    `json:"split_utf8,omitempty"`
	Comments         int     `json:"comments,omitempty"` // before each event
	CRLF             bool    `json:"crlf,omitempty"`
	NoUsage          bool    `json:"no_usage,omitempty"`
	DuplicateToolIdx bool    `json:"duplicate_tool_index,omitempty"`
	Slow             float64 `json:"slow,omitempty"` // times the time of each token
	Status200Error   bool    `json:"status200_error,omitempty"`
	WrongUsage       float64 `json:"wrong_usage,omitempty"` // times the tokens reported
	WrongModel       string  `json:"wrong_model,omitempty"`
	// Content spoils the answer: invalid_json, fenced_json, cut_json,
	// schema_violation (of Field, or the first), empty_choices, refusal or
	// content_filter.
	Content string `json:"content,omitempty"`
	Field   string `json:"field,omitempty"`
}

// Brownout is a time in which the provider is weak.
type Brownout struct {
	From  Duration `json:"from,omitempty"`
	Until Duration `json:"until,omitempty"` // 0 is no end
	// ErrorRate is the share of requests answered 503.
	ErrorRate float64 `json:"error_rate,omitempty"`
	// LatencyX multiplies the latency, Delay adds to the first token's; LimitX
	// is what is left of the limits. 0 leaves them.
	LatencyX float64  `json:"latency_x,omitempty"`
	Delay    Duration `json:"delay,omitempty"`
	LimitX   float64  `json:"limit_x,omitempty"`
}

// rule is a fault ready for use.
type rule struct {
	Fault
	regex *regexp.Regexp
	seen  int64 // requests that the fields before Nth fit
}

// faultSet is what SetFaults made; the control's lock covers it.
type faultSet struct {
	given     Faults
	rules     []*rule
	brownouts []Brownout
	since     time.Time
}

// compile checks faults and adds those of the preset.
func (f Faults) compile(now time.Time) (*faultSet, error) {
	all := f
	if f.Preset != "" {
		preset, ok := faultPresets()[f.Preset]
		if !ok {
			return nil, fmt.Errorf("llmsim faults: preset is %q, want one of %q", f.Preset, FaultPresets())
		}
		all.Rules = append(slices.Clone(preset.Rules), f.Rules...)
		all.Brownouts = append(slices.Clone(preset.Brownouts), f.Brownouts...)
	}
	set := &faultSet{given: f, brownouts: all.Brownouts, since: now}
	for i, one := range all.Rules {
		if one.Name == "" {
			one.Name = "rule " + strconv.Itoa(i)
		}
		if err := one.validate(); err != nil {
			return nil, fmt.Errorf("llmsim faults: %q: %w", one.Name, err)
		}
		r := &rule{Fault: one}
		if one.Match.Regex != "" {
			var err error
			if r.regex, err = regexp.Compile(one.Match.Regex); err != nil {
				return nil, fmt.Errorf("llmsim faults: %q: match.regex: %w", one.Name, err)
			}
		}
		set.rules = append(set.rules, r)
	}
	for i, b := range all.Brownouts {
		if b.From < 0 || b.Until < 0 || b.Delay < 0 || b.ErrorRate < 0 || b.ErrorRate > 1 || b.LatencyX < 0 || b.LimitX < 0 {
			return nil, fmt.Errorf("llmsim faults: brownouts[%d] is %+v, want no field below 0 and error_rate at most 1", i, b)
		}
	}
	return set, nil
}

// validate reports the first field with a wrong value.
func (f *Fault) validate() error {
	m, a := f.Match, f.Do
	for _, c := range []struct {
		name, got string
		want      []string
	}{
		{"do.hang", a.Hang, []string{"", hangBeforeHeaders, hangAfterHeaders, hangAfterEvents}},
		{"do.cut", a.Cut, []string{"", cutAbort, cutEOF, cutNoDone}},
		{"do.error", a.Error, []string{"", errorFrame, errorChunk, errorEvent}},
		{"do.content", a.Content, []string{"", contentInvalid, contentFenced, contentCut, contentSchema, contentNoChoices, contentRefusal, contentFilter}},
		{"do.preset", a.Preset, append(ErrorPresets(), "")},
	} {
		if !slices.Contains(c.want, c.got) {
			return fmt.Errorf("%s is %q, want one of %q", c.name, c.got, c.want)
		}
	}
	if hints := []string{"", retryNone, retryWrong, retryPast, retryHTTPDate}; !slices.Contains(hints, a.RetryAfter) {
		if n, err := strconv.Atoi(a.RetryAfter); err != nil || n < 0 {
			return fmt.Errorf("do.retry_after is %q, want one of %q or a number of seconds", a.RetryAfter, hints)
		}
	}
	switch {
	case a.isZero():
		return fmt.Errorf("do is empty, want something to happen")
	case a.Status != 0 && (a.Status < 200 || a.Status > 599):
		return fmt.Errorf("do.status is %d, want 200 to 599", a.Status)
	case m.Prob < 0 || m.Prob > 1:
		return fmt.Errorf("match.prob is %v, want 0 to 1", m.Prob)
	case m.Nth < 0 || m.Every < 0 || m.FirstAttempts < 0 || m.From < 0 || m.Until < 0 || m.Cycle < 0:
		return fmt.Errorf("match is %+v, want no number below 0", m)
	case a.Delay < 0 || a.HangFor < 0 || a.After < 0 || a.Comments < 0 || a.Slow < 0 || a.WrongUsage < 0:
		return fmt.Errorf("do is %+v, want no number below 0", a)
	case m.Until > 0 && m.Until <= m.From:
		return fmt.Errorf("match.until is %s, want more than match.from, %s", time.Duration(m.Until), time.Duration(m.From))
	}
	return nil
}

// isZero reports whether an action does nothing.
func (a *Action) isZero() bool {
	data, err := json.Marshal(a)
	return err == nil && string(data) == "{}"
}

// SetFaults replaces all faults; their times begin now.
func (s *Server) SetFaults(f Faults) error {
	set, err := f.compile(s.clock.now())
	if err != nil {
		return err
	}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	s.control.faults = set
	return nil
}

// during reports whether at is within from and until, in each cycle.
func (s *Server) during(at time.Duration, from, until, cycle Duration) bool {
	if cycle > 0 {
		at %= max(1, s.scaled(cycle))
	}
	return at >= s.scaled(from) && (until == 0 || at < s.scaled(until))
}

// chance is a number in [0, 1) that depends on its arguments alone.
func chance(seed uint64, parts ...string) float64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	for _, p := range parts {
		_, _ = h.Write([]byte("\x00" + p))
	}
	// The high bits of FNV are weak: mix them as splitmix64 does.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// fits reports whether the fields before Nth fit.
func (r *rule) fits(c *call) bool {
	m := &r.Match
	if !matches(m.Model, c.entry.Model) || !matches(m.Key, c.key) || !matches(m.Endpoint, c.entry.Endpoint) {
		return false
	}
	if r.regex != nil && !r.regex.Match(c.body) {
		return false
	}
	for name, value := range m.Header {
		if !matches(value, c.header.Get(name)) || c.header.Get(name) == "" {
			return false
		}
	}
	return true
}

// choose finds what happens to a call.
func (s *Server) choose(c *call) {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	set := s.control.faults
	at := s.clock.now().Sub(set.since)
	attempt := strconv.Itoa(c.entry.Attempt)
	c.latencyX, c.seed = 1, s.control.seed
	for i, b := range set.brownouts {
		if !s.during(at, b.From, b.Until, 0) {
			continue
		}
		if b.LatencyX > 0 {
			c.latencyX *= b.LatencyX
		}
		c.delay += s.scaled(b.Delay)
		if b.ErrorRate > 0 && chance(s.control.seed, "brownout", strconv.Itoa(i), c.identity, attempt) < b.ErrorRate {
			c.setAction("brownout", Action{Preset: presetOverloaded})
		}
	}
	for _, r := range set.rules {
		m := &r.Match
		if c.action != nil {
			return
		}
		if !r.fits(c) {
			continue
		}
		r.seen++
		if m.Nth > 0 && r.seen != m.Nth || m.Every > 0 && r.seen%m.Every != 0 ||
			m.FirstAttempts > 0 && c.entry.Attempt > m.FirstAttempts ||
			!s.during(at, m.From, m.Until, m.Cycle) ||
			m.Prob > 0 && chance(s.control.seed, r.Name, c.identity, attempt) >= m.Prob {
			continue
		}
		c.setAction(r.Name, r.Do)
	}
}

// limitFactor is what brownouts leave of the limits.
func (s *Server) limitFactor(now time.Time) float64 {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	factor := 1.0
	for _, b := range s.control.faults.brownouts {
		if b.LimitX > 0 && s.during(now.Sub(s.control.faults.since), b.From, b.Until, 0) {
			factor *= b.LimitX
		}
	}
	return factor
}

// setAction resolves the preset of an action and makes it the call's.
func (c *call) setAction(name string, a Action) {
	c.entry.Fault = name
	if preset, ok := errorPresets()[a.Preset]; ok {
		if a.Status == 0 {
			a.Status = preset.status
		}
		if a.Body == "" {
			a.Body = preset.body
		}
		headers := maps.Clone(preset.headers)
		if headers == nil {
			headers = map[string]string{}
		}
		maps.Copy(headers, a.Headers)
		a.Headers = headers
	}
	c.action = &a
	c.delay += c.server.scaled(a.Delay)
}
