package llmsim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxAdminBody bounds what the admin API reads.
const maxAdminBody = 1 << 20

// Admin is the API to watch and to steer the server, under /_sim/, with
// metrics for Prometheus at /metrics. It asks for no key: serve it to who may
// use it. [Server.Run] serves it at Config.AdminAddr.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /metrics", s.metrics)
	for path, get := range map[string]func(r *http.Request) (any, error){
		"requests":   s.adminRequests,
		"ledger":     func(*http.Request) (any, error) { return s.Ledger(), nil },
		"windows":    s.adminWindows,
		"duplicates": func(*http.Request) (any, error) { return s.Duplicates(), nil },
		"limits":     func(*http.Request) (any, error) { return s.limits(), nil },
		"faults":     func(*http.Request) (any, error) { return s.faults(), nil },
	} {
		mux.HandleFunc("GET /_sim/"+path, func(w http.ResponseWriter, r *http.Request) {
			answerAdmin(w)(get(r))
		})
	}
	for path, post := range map[string]func(body []byte) error{
		"reset":   func([]byte) error { s.Reset(); return nil },
		"faults":  setTo(s.SetFaults),
		"limits":  setTo(s.SetLimits),
		"profile": setTo(func(q struct{ Profile string }) error { return s.SetProfile(q.Profile) }),
		"seed":    setTo(func(q struct{ Seed uint64 }) error { s.setSeed(q.Seed); return nil }),
		"clock":   setTo(func(q struct{ Advance Duration }) error { return s.Advance(time.Duration(q.Advance)) }),
	} {
		mux.HandleFunc("POST /_sim/"+path, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAdminBody))
			if err == nil {
				err = post(body)
			}
			answerAdmin(w)(map[string]bool{"ok": true}, err)
		})
	}
	mux.HandleFunc("GET /_sim/assert", s.adminAssert)
	return mux
}

// answerAdmin returns a function that answers with a value or an error.
func answerAdmin(w http.ResponseWriter) func(v any, err error) {
	return func(v any, err error) {
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, v)
	}
}

// setTo reads a body as JSON for fn; a field that is not known is an error.
func setTo[T any](fn func(T) error) func([]byte) error {
	return func(body []byte) error {
		var v T
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			return fmt.Errorf("the body is not as expected: %w", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("the body has more than one JSON value")
		}
		return fn(v)
	}
}

// adminRequests lists the newest requests: with ?since=SEQ those after it, with
// ?model= and ?status= only those.
func (s *Server) adminRequests(r *http.Request) (any, error) {
	query := r.URL.Query()
	since, status := 0, -1
	for name, into := range map[string]*int{"since": &since, "status": &status} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return nil, fmt.Errorf("%s is %q, want a number", name, text)
			}
			*into = n
		}
	}
	out := []Entry{}
	for _, e := range s.Ledger().Last {
		if e.Seq > since && (status < 0 || e.Status == status) && matches(query.Get("model"), e.Model) {
			out = append(out, e)
		}
	}
	return out, nil
}

func (s *Server) adminWindows(r *http.Request) (any, error) {
	width := time.Minute
	if text := r.URL.Query().Get("width"); text != "" {
		var err error
		if width, err = time.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("width is %q, want 1s, 10s or 60s", text)
		}
	}
	return s.Windows(width)
}

// adminAssert serves GET /_sim/assert: 200 when all holds, 412 with what does
// not.
func (s *Server) adminAssert(w http.ResponseWriter, r *http.Request) {
	spec, err := parseAssert(r.URL.Query())
	if err != nil {
		answerAdmin(w)(nil, err)
		return
	}
	failed := s.Assert(spec)
	status := http.StatusOK
	if len(failed) > 0 {
		status = http.StatusPreconditionFailed
	}
	writeJSON(w, status, map[string]any{"ok": len(failed) == 0, "failed": failed})
}

// groupLimits are the limits of one key and group as they stand.
type groupLimits struct {
	Key     string     `json:"key"`
	Group   string     `json:"group"`
	Profile string     `json:"profile"`
	Running int64      `json:"running"`
	Waiting int        `json:"waiting"`
	Limits  []dimState `json:"limits"`
}

// limits shows the limits in force and their state.
func (s *Server) limits() any {
	groups := s.allGroups()
	now := s.clock.now()
	out := make([]groupLimits, len(groups))
	for i, g := range groups {
		out[i] = g.show(now)
	}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return map[string]any{"limits": append([]Limit{}, s.control.limits...), "groups": out}
}

func (g *group) show(now time.Time) groupLimits {
	g.mu.Lock()
	defer g.mu.Unlock()
	return groupLimits{Key: masked(g.id.key), Group: g.id.group, Profile: g.profile.name, Running: g.running, Waiting: len(g.waiting), Limits: g.states(now)}
}

// SetLimits replaces all limits. What was used of one that stays, stays used,
// so that a limit can be lowered while calls are in work.
func (s *Server) SetLimits(limits []Limit) error {
	if err := validateLimits(limits); err != nil {
		return err
	}
	s.control.mu.Lock()
	s.control.limits = limits
	s.control.mu.Unlock()
	for _, g := range s.allGroups() {
		g.setLimits(limits, s.cfg.timeScale())
	}
	return nil
}

// faults shows the faults in force.
func (s *Server) faults() Faults {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	return s.control.faults.given
}

// setSeed changes the draws of faults and latencies; answers keep theirs.
func (s *Server) setSeed(seed uint64) {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	s.control.seed = seed
}
