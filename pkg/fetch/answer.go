package fetch

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// checkStatus says why an answer holds no document.
func (c *Client) checkStatus(target *url.URL, resp *http.Response) error {
	status := resp.StatusCode
	if status == http.StatusOK || status == http.StatusNonAuthoritativeInfo {
		return nil
	}
	answered := fmt.Sprintf("%s answered %d %s", shown(target), status, http.StatusText(status))
	e := &event.Error{Class: event.ClassInvalid, Field: c.cfg.Field, Message: answered}
	switch {
	case status == http.StatusNotFound || status == http.StatusGone:
		e.Hint = "check the address, or remove the document"
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		e.Hint = "the document must be readable without signing in, by programs too; or send its text or data instead"
	case status == http.StatusTooManyRequests:
		e.Class = event.ClassThrottled
	case status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooEarly:
		e.Class = event.ClassUnavailable
	default:
		e.Hint = "open the address in a browser, and give the one of the document itself"
	}
	if e.Class.Retryable() {
		e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return e
}

// retryAfter reads both forms of Retry-After (RFC 9110, 10.2.3); 0 is none. It is
// bounded, as anybody may have written it.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	var wait time.Duration
	if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	} else if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	}
	return min(max(wait, 0), maxRetryAfter)
}

// failure classifies what went wrong on the way.
func (c *Client) failure(ctx context.Context, target *url.URL, err error) error {
	var refused *refusedError
	var lookup *net.DNSError
	var certificate *tls.CertificateVerificationError
	e := &event.Error{Class: event.ClassUnavailable, Field: c.cfg.Field, Err: err}
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		e.Message = fmt.Sprintf("%s gave no whole answer within %s", shown(target), c.cfg.Timeout)
	case ctx.Err() != nil:
		return event.AsError(fmt.Errorf("fetching %s: %w", shown(target), ctx.Err()))
	case errors.As(err, &refused):
		e.Class = event.ClassInvalid
		e.Message = fmt.Sprintf("the host %s has no public address", target.Hostname())
		e.Hint = "only public addresses are fetched; the operator can allow a private network with " + c.cfg.setting("ALLOW_PRIVATE")
	case errors.As(err, &lookup) && lookup.IsNotFound:
		e.Class = event.ClassInvalid
		e.Message = fmt.Sprintf("there is no host %s", target.Hostname())
		e.Hint = "check the address"
	case errors.As(err, &certificate):
		e.Class = event.ClassInvalid
		e.Message = fmt.Sprintf("the certificate of %s is not trusted: %v", target.Host, certificate.Err)
		e.Hint = "its owner must renew or repair it"
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Class = event.ClassTruncated
		e.Message = fmt.Sprintf("the answer of %s broke off", shown(target))
	default:
		e.Message = fmt.Sprintf("fetching %s: %v", shown(target), plain(err))
	}
	return e
}

// plain leaves out what errors of the network tell about this side of it: our own
// address, and those of the name servers.
func plain(err error) error {
	var lookup *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &lookup):
		return fmt.Errorf("looking up %s: %s", lookup.Name, lookup.Err)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

// body reads the document. Both the bytes on the wire and those they unpack to
// are bounded by MaxBytes; how long it may take, by ctx.
func (c *Client) body(ctx context.Context, target *url.URL, resp *http.Response) ([]byte, error) {
	if resp.ContentLength > c.cfg.MaxBytes {
		return nil, c.tooLarge(target)
	}
	wire := &io.LimitedReader{R: resp.Body, N: c.cfg.MaxBytes + 1}
	document, err := unpack(wire, resp.Header.Get("Content-Encoding"))
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(document, c.cfg.MaxBytes+1))
	}
	var encoding *encodingError
	switch {
	case wire.N <= 0 || int64(len(data)) > c.cfg.MaxBytes:
		return nil, c.tooLarge(target)
	case errors.As(err, &encoding):
		return nil, c.invalid("its server must send it plain or as gzip", "%s is encoded as %s", shown(target), encoding.name)
	case err != nil:
		return nil, c.failure(ctx, target, err)
	}
	return data, nil
}

// encodingError is a content encoding that was not asked for.
type encodingError struct{ name string }

func (e *encodingError) Error() string { return "content encoding " + e.name }

func unpack(wire io.Reader, encoding string) (io.Reader, error) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return wire, nil
	case "gzip", "x-gzip":
		packed, err := gzip.NewReader(wire)
		if errors.Is(err, io.EOF) {
			return wire, nil // nothing packed is nothing
		}
		return packed, err
	}
	return nil, &encodingError{encoding}
}

func (c *Client) tooLarge(target *url.URL) error {
	return &event.Error{
		Class: event.ClassTooLarge, Field: c.cfg.Field,
		Message: fmt.Sprintf("%s is larger than %d bytes", shown(target), c.cfg.MaxBytes),
		Hint:    "split the document, or ask the operator to raise " + c.cfg.setting("MAX_BYTES"),
	}
}

// mediaType is a declared type that is well formed, else "".
func mediaType(header string) string {
	if _, _, err := mime.ParseMediaType(header); err != nil {
		return ""
	}
	return header
}

// bounded is s, or "" if it is too long to be kept.
func bounded(s string) string {
	if len(s) > maxTagBytes {
		return ""
	}
	return s
}
