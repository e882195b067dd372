package fetch

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

// The client is a guarded http.RoundTripper, too, for requests that are no Get of a
// document: it dials what Get would dial, and follows no redirects.
var _ http.RoundTripper = (*Client)(nil)

// RoundTrip makes one request. Its error is that of the transport: see Refused and
// Plain.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.transport.RoundTrip(req)
}

// Parse checks an address by its form, as Get does; where it leads is checked on
// dialling.
func (c *Client) Parse(address string) (*url.URL, error) { return c.parse(address) }

// Refused reports whether an error of RoundTrip says that the address is none that
// may be dialled.
func Refused(err error) bool {
	var refused *refusedError
	return errors.As(err, &refused)
}

// Plain leaves out of an error of RoundTrip what it tells about this side of the
// network.
func Plain(err error) error { return plain(err) }

// Shown is an address as it may be logged: without its query and fragment.
func Shown(u *url.URL) string { return shown(u) }

// RetryAfter reads both forms of the header Retry-After, bounded by a day; 0 is none.
func RetryAfter(header string, now time.Time) time.Duration { return retryAfter(header, now) }
