package fetch

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// The defaults of Config.
const (
	DefaultMaxBytes     = 32 << 20
	DefaultTimeout      = time.Minute
	DefaultMaxRedirects = 5
	DefaultUserAgent    = "weir (+https://github.com/weir-dev/weir)"
	DefaultField        = "document.url"
)

// Config is what a Client may reach and take. As a field of a service's settings
// it is read from the environment.
type Config struct {
	// AllowPrivate lists networks that may be reached although they are not
	// public, such as 10.20.0.0/16 of a company's wiki. Allow single hosts
	// (10.20.0.7/32) where that is enough: users can then read all that answers
	// there without a password. Default none.
	AllowPrivate []netip.Prefix `split_words:"true"`
	// Ports lists ports that may be dialled besides 80 and 443; other ports
	// belong to databases, mail and consoles more often than to documents.
	// Default none.
	Ports []uint16
	// MaxBytes is the size of the largest document, compressed or not. Default
	// 32 MiB.
	MaxBytes int64 `split_words:"true"`
	// Timeout bounds a whole Get, redirects and body included. Default 60 s.
	Timeout time.Duration
	// MaxRedirects is how many redirects are followed; below 0 none. Default 5.
	MaxRedirects int `split_words:"true"`
	// UserAgent is how the client calls itself. Default DefaultUserAgent.
	UserAgent string `split_words:"true"`

	// AllowedOnly refuses public addresses as well: what is left is AllowPrivate.
	AllowedOnly bool `ignored:"true"`
	// Field is the JSON path of the address in the job, for errors. Default
	// "document.url".
	Field string `ignored:"true"`
	// Settings starts the names of these settings in hints, such as
	// WEIR_INGESTOR_FETCH for WEIR_INGESTOR_FETCH_ALLOW_PRIVATE. Default none:
	// hints say ALLOW_PRIVATE.
	Settings string `ignored:"true"`
	// TLS replaces the settings of TLS; nil trusts the system's authorities.
	TLS *tls.Config `ignored:"true"`
	// Resolver replaces the system's name resolution.
	Resolver *net.Resolver `ignored:"true"`
}

// DefaultConfig reaches public addresses only.
func DefaultConfig() Config { return Config{}.withDefaults() }

func (c Config) withDefaults() Config {
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	c.MaxRedirects = cmp.Or(c.MaxRedirects, DefaultMaxRedirects)
	c.UserAgent = cmp.Or(c.UserAgent, DefaultUserAgent)
	c.Field = cmp.Or(c.Field, DefaultField)
	return c
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	for _, p := range c.AllowPrivate {
		if !p.IsValid() || p.Addr().Is4In6() {
			return fmt.Errorf("%s: got %s, want networks such as 10.20.0.0/16 or fd00:1::/64", c.setting("ALLOW_PRIVATE"), p)
		}
	}
	for _, port := range c.Ports {
		if port == 0 {
			return fmt.Errorf("%s: got 0, want ports from 1 to 65535", c.setting("PORTS"))
		}
	}
	if c.MaxBytes < 0 {
		return fmt.Errorf("%s: got %d, want a size in bytes", c.setting("MAX_BYTES"), c.MaxBytes)
	}
	if c.Timeout < 0 {
		return fmt.Errorf("%s: got %s, want a time above 0", c.setting("TIMEOUT"), c.Timeout)
	}
	return nil
}

// setting is the name under which the operator knows a field.
func (c Config) setting(name string) string {
	if c.Settings == "" {
		return name
	}
	return c.Settings + "_" + name
}
