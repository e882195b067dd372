// Package fetch gets documents from the addresses that users give, and reaches
// nothing but the public internet and what the operator allows.
//
// An address that somebody else chooses makes the fetcher a way into the network
// it stands in (server-side request forgery). So every connection, those of
// redirects included, is checked after the name was resolved and before a byte is
// sent: a name that changes its address between the check and the use can't pass.
// Proxies of the environment are not used, because they would dial unchecked;
// cookies, credentials and referrers are neither kept nor sent.
//
// What an address check can't see is a public address that leads inside: a
// gateway's own, a NAT64 prefix of the network's own, a reverse proxy. Where such
// exist a network policy must hold them back.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Conditions make a Get conditional on a change since an earlier Response.
type Conditions struct {
	ETag, LastModified string // as the earlier Response gave them; "" for none
}

// Response is a document as its server gave it.
type Response struct {
	// URL is where the document was found at last, redirects followed.
	URL string
	// MediaType is the declared type with its parameters, such as
	// "text/html; charset=utf-8"; "" when none or a broken one was declared.
	MediaType string
	// Body is the document, decompressed; nil when NotModified.
	Body []byte
	// ETag and LastModified are for the Conditions of the next Get.
	ETag, LastModified string
	// NotModified reports that the Conditions held: there is no newer document.
	NotModified bool
}

// Client fetches documents. It is safe for concurrent use and keeps connections
// open between calls until Close.
type Client struct {
	cfg       Config
	guard     *guard
	transport *http.Transport
}

// errTimeout is the cause of a context that Config.Timeout ended.
var errTimeout = errors.New("fetch timeout")

// Bounds that are no matter of taste of an operator.
const (
	dialTimeout      = 10 * time.Second // of one address of a host, and of TLS
	idleTimeout      = 30 * time.Second // of a kept connection
	maxIdle          = 64
	maxHeaderBytes   = 256 << 10
	maxURLBytes      = 8 << 10 // what servers commonly take (RFC 9110 asks for 8000)
	maxTagBytes      = 1 << 10 // longer ETags are dropped: callers store them
	maxRetryAfter    = 24 * time.Hour
	maxShownURLBytes = 300
)

// New returns a client; zero fields of cfg take their defaults. It does no I/O.
func New(cfg Config) *Client {
	cfg = cfg.withDefaults()
	c := &Client{cfg: cfg, guard: newGuard(cfg)}
	dialer := &net.Dialer{
		Timeout:  dialTimeout,
		Resolver: cfg.Resolver,
		Control:  func(_, address string, _ syscall.RawConn) error { return c.guard.checkDial(address) },
	}
	c.transport = &http.Transport{
		Proxy:                  nil, // a proxy would dial for us, unchecked
		DialContext:            dialer.DialContext,
		TLSClientConfig:        cfg.TLS,
		TLSHandshakeTimeout:    dialTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // body bounds the compressed bytes too
		MaxIdleConns:           maxIdle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return c
}

// Close closes the connections that are not in use; later calls open new ones.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Get fetches the document at an http or https address. Errors are *event.Error:
//   - ClassInvalid: the address is malformed or not allowed, or its server has no
//     document there for us (HTTP 4xx); the field is Config.Field.
//   - ClassTooLarge: the document exceeds Config.MaxBytes.
//   - ClassThrottled (HTTP 429), ClassUnavailable (5xx, network, Config.Timeout)
//     and ClassTruncated, with RetryAfter where the server asked for a wait.
//   - ClassDeadline and ClassCanceled: ctx ended.
//
// Conditions are sent to each address of a chain of redirects, as they came from
// the last one.
func (c *Client) Get(ctx context.Context, address string, cond Conditions) (Response, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errTimeout)
	defer cancel()
	target, err := c.parse(address)
	if err != nil {
		return Response{}, err
	}
	for hops := 0; ; hops++ {
		answer, next, err := c.hop(ctx, target, cond)
		if err != nil || next == nil {
			return answer, err
		}
		if hops >= c.cfg.MaxRedirects {
			return Response{}, c.invalid("give the address of the document itself",
				"%s leads to more than %d redirects", shown(target), c.cfg.MaxRedirects)
		}
		target = next
	}
}

// hop asks one address: for the document, or for the address to go on to.
func (c *Client) hop(ctx context.Context, target *url.URL, cond Conditions) (Response, *url.URL, error) {
	req := c.request(ctx, target, cond)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return Response{}, nil, c.failure(ctx, target, err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written to it
	if isRedirect(resp.StatusCode) {
		next, err := c.redirect(target, resp.Header.Get("Location"))
		return Response{}, next, err
	}
	answer := Response{
		URL:          target.String(),
		MediaType:    mediaType(resp.Header.Get("Content-Type")),
		ETag:         bounded(resp.Header.Get("Etag")),
		LastModified: bounded(resp.Header.Get("Last-Modified")),
	}
	if resp.StatusCode == http.StatusNotModified && cond != (Conditions{}) {
		return notModified(answer, cond), nil, nil
	}
	if err := c.checkStatus(target, resp); err != nil {
		return Response{}, nil, err
	}
	if answer.Body, err = c.body(ctx, target, resp); err != nil {
		return Response{}, nil, err
	}
	return answer, nil, nil
}

// request has these headers and no more: nothing of one address goes to the next.
func (c *Client) request(ctx context.Context, target *url.URL, cond Conditions) *http.Request {
	req := &http.Request{Method: http.MethodGet, URL: target, Host: target.Host, Header: http.Header{
		"User-Agent":      {c.cfg.UserAgent},
		"Accept":          {"*/*"},
		"Accept-Encoding": {"gzip"},
	}}
	if cond.ETag != "" {
		req.Header.Set("If-None-Match", cond.ETag)
	}
	if cond.LastModified != "" {
		req.Header.Set("If-Modified-Since", cond.LastModified)
	}
	return req.WithContext(ctx)
}

// notModified keeps the conditions that a 304 doesn't repeat.
func notModified(answer Response, cond Conditions) Response {
	answer.NotModified, answer.MediaType = true, ""
	answer.ETag, answer.LastModified = cmp.Or(answer.ETag, cond.ETag), cmp.Or(answer.LastModified, cond.LastModified)
	return answer
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect checks where an answer of from leads to.
func (c *Client) redirect(from *url.URL, location string) (*url.URL, error) {
	const hint = "give the address of the document itself"
	if location == "" {
		return nil, c.invalid(hint, "%s redirects to nowhere", shown(from))
	}
	target, err := from.Parse(location)
	if err != nil {
		return nil, c.invalid(hint, "%s redirects to a malformed address", shown(from))
	}
	next, err := c.parse(target.String())
	if err != nil {
		e := event.AsError(err)
		e.Message = fmt.Sprintf("%s redirects: %s", shown(from), e.Message)
		return nil, e
	}
	if from.Scheme == schemeHTTPS && next.Scheme != schemeHTTPS {
		return nil, c.invalid(hint, "%s redirects from https to %s, which others can read and change", shown(from), shown(next))
	}
	return next, nil
}

// invalid is an error of the address.
func (c *Client) invalid(hint, format string, args ...any) *event.Error {
	return event.Invalid(c.cfg.Field, hint, format, args...)
}
