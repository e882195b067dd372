package llmsim

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Duration is a time.Duration that JSON writes as "1m30s"; it reads that or a
// number of seconds.
type Duration time.Duration

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var seconds float64
	if json.Unmarshal(data, &seconds) == nil {
		*d = Duration(seconds * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf(`%s is not a duration, want "1m30s" or a number of seconds`, data)
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf(`%q is not a duration, want "1m30s" or a number of seconds`, text)
	}
	*d = Duration(parsed)
	return nil
}

// clock is the server's time: that of Config.Now and what the admin API set it
// forward.
type clock struct {
	base  func() time.Time
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base().Add(c.ahead)
}

// Advance sets the server's clock forward: windows, limits and schedules of
// faults see the time as passed, waits in progress do not.
func (s *Server) Advance(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("llmsim clock: advance is %s, want at least 0s", d)
	}
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	s.clock.ahead += d
	return nil
}

// scaled is d at the configured speed.
func (s *Server) scaled(d Duration) time.Duration {
	return time.Duration(float64(d) * s.cfg.timeScale())
}
