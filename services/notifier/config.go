package notifier

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weir-dev/weir/pkg/fetch"
)

// Config is the notifier's settings, from WEIR_NOTIFIER_<FIELD_NAME>.
type Config struct {
	// AllowPrivate lists networks that webhooks may reach although they are not
	// public, such as 10.20.0.0/16: over http as well as https. Default none.
	AllowPrivate []netip.Prefix `split_words:"true"`
	// Ports lists ports of receivers besides 80 and 443. Default none.
	Ports []uint16
	// Timeout bounds one try, from the lookup of the name to the status. Default 15 s.
	Timeout time.Duration
	// Schedule is how long a delivery waits before its second, third, ... try, each
	// time up to a fifth longer. After the last one it is given up. By default eight
	// tries in 27 hours.
	Schedule []time.Duration
	// GiveUpAfter ends a delivery that was held by its receiver's breaker for so long.
	// Default 36 h.
	GiveUpAfter time.Duration `split_words:"true"`
	// Slots is how many deliveries this process has in hand at once, TenantSlots how
	// many of them may be to receivers of one tenant, and Concurrency to one receiver
	// that sets no number of its own. Default 256, 32 and 4.
	Slots       int
	TenantSlots int `split_words:"true"`
	Concurrency int
	// BreakAfter failures in a row have a receiver left alone for BreakFor, twice as
	// long each time up to BreakCap, and then tried with a single delivery. Default 5,
	// 30 s and 10 min.
	BreakAfter int           `split_words:"true"`
	BreakFor   time.Duration `split_words:"true"`
	BreakCap   time.Duration `split_words:"true"`
	// DrainTimeout is how long deliveries in work may finish after a stop. Default 20 s.
	DrainTimeout time.Duration `split_words:"true"`

	// TLS and Resolver replace those of the system.
	TLS      *tls.Config   `ignored:"true"`
	Resolver *net.Resolver `ignored:"true"`
}

// maxTimeout leaves time to note what came of a try before the queue takes its
// worker for dead.
const maxTimeout = 20 * time.Second

// maxGiveUp is less than results are kept.
const maxGiveUp = 6 * 24 * time.Hour

// DefaultConfig fits most receivers.
func DefaultConfig() Config {
	return Config{
		Timeout: 15 * time.Second,
		Schedule: []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
			10 * time.Hour, 10 * time.Hour},
		GiveUpAfter: 36 * time.Hour,
		Slots:       256, TenantSlots: 32, Concurrency: 4,
		BreakAfter: 5, BreakFor: 30 * time.Second, BreakCap: 10 * time.Minute,
		DrainTimeout: 20 * time.Second,
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_NOTIFIER"
	errs := []error{c.fetching().Validate()}
	for _, n := range []struct {
		name string
		got  int
	}{{"SLOTS", c.Slots}, {"TENANT_SLOTS", c.TenantSlots}, {"CONCURRENCY", c.Concurrency}, {"BREAK_AFTER", c.BreakAfter}} {
		if n.got < 1 {
			errs = append(errs, fmt.Errorf("%s_%s: got %d, want 1 or more", prefix, n.name, n.got))
		}
	}
	for _, d := range []struct {
		name     string
		got, max time.Duration
	}{{"TIMEOUT", c.Timeout, maxTimeout}, {"GIVE_UP_AFTER", c.GiveUpAfter, maxGiveUp}, {"BREAK_FOR", c.BreakFor, maxGiveUp},
		{"BREAK_CAP", c.BreakCap, maxGiveUp}, {"DRAIN_TIMEOUT", c.DrainTimeout, time.Hour}} {
		if d.got <= 0 || d.got > d.max {
			errs = append(errs, fmt.Errorf("%s_%s: got %s, want more than 0 and at most %s", prefix, d.name, d.got, d.max))
		}
	}
	for _, wait := range c.Schedule {
		if wait < 0 {
			errs = append(errs, fmt.Errorf("%s_SCHEDULE: got %s, want waits such as 5s,5m,30m", prefix, wait))
		}
	}
	return errors.Join(errs...)
}

// fetching is what may be reached over https.
func (c Config) fetching() fetch.Config {
	return fetch.Config{AllowPrivate: c.AllowPrivate, Ports: c.Ports, Field: "webhook", Settings: "WEIR_NOTIFIER", TLS: c.TLS, Resolver: c.Resolver}
}
