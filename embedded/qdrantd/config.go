package qdrantd

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Version is the Qdrant version whose behaviour the server follows; it is what
// HealthCheck answers.
const Version = "1.18.3"

// Config is what a Server needs to run.
type Config struct {
	// Dir is the data directory; it is created when missing. Required.
	Dir string
	// Addr is the TCP address to listen on; port 0 takes a free one, which
	// Server.Addr then tells. Default 127.0.0.1:6334.
	Addr string
	// APIKey, when set, must be sent by every client (header api-key, or a
	// bearer token). Default "": no check.
	APIKey string
	// DrainTimeout bounds how long a stop waits for running requests before it
	// cancels them. Default 5s.
	DrainTimeout time.Duration
	// LockTimeout bounds the wait for the lock on Dir, which another process
	// may hold for a moment while it stops. Default 2s.
	LockTimeout time.Duration
}

// DefaultConfig returns a Config that lacks only Dir.
func DefaultConfig() Config {
	return Config{
		Addr:         "127.0.0.1:6334",
		DrainTimeout: 5 * time.Second,
		LockTimeout:  2 * time.Second,
	}
}

// withDefaults fills the fields whose zero value means "the default".
func (c Config) withDefaults() Config {
	def := DefaultConfig()
	if c.Addr == "" {
		c.Addr = def.Addr
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = def.DrainTimeout
	}
	if c.LockTimeout == 0 {
		c.LockTimeout = def.LockTimeout
	}
	return c
}

// Validate reports every field that cannot work, with its value.
func (c Config) Validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New(`qdrantd config: Dir is ""; set the data directory`))
	}
	if _, _, err := net.SplitHostPort(c.Addr); c.Addr != "" && err != nil {
		errs = append(errs, fmt.Errorf("qdrantd config: Addr is %q; want host:port: %w", c.Addr, err))
	}
	if c.DrainTimeout < 0 {
		errs = append(errs, fmt.Errorf("qdrantd config: DrainTimeout is %s; want 0 (default) or more", c.DrainTimeout))
	}
	if c.LockTimeout < 0 {
		errs = append(errs, fmt.Errorf("qdrantd config: LockTimeout is %s; want 0 (default) or more", c.LockTimeout))
	}
	return errors.Join(errs...)
}
