package notifier

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/webhook"
)

const (
	// maxResponse is how much of a receiver's answer is read and kept.
	maxResponse = 1 << 10
	// bodyTimeout is how long it may take after the status.
	bodyTimeout = 250 * time.Millisecond
)

// userAgent is how the notifier calls itself.
const userAgent = "weir-webhooks (+https://github.com/weir-dev/weir)"

// errTimeout is the cause of a try that took too long.
var errTimeout = errors.New("no answer in time")

// outcome is what came of one try.
type outcome struct {
	status   int
	response string
	// err is nil when the receiver took the event; it is final when no other try
	// could do better.
	err     *event.Error
	verdict verdict
}

// final is an outcome that no other try can change, of which the receiver knows
// nothing.
func final(err error) outcome {
	e := *event.AsError(err)
	e.Final = true
	return outcome{err: &e}
}

// receiver is where a delivery goes.
type receiver struct {
	// gate is its name among the gates: those of one host share one, an endpoint of the
	// tenant has its own.
	gate  string
	url   string
	limit int
}

// receiver finds the receiver that a tenant means by to. The URL is "" when there is
// none.
func (s *Service) receiver(t *catalog.Tenant, tenant, to string) receiver {
	for _, e := range t.Webhooks.Endpoints {
		if e.ID == to {
			return receiver{gate: tenant + " " + e.ID, url: e.URL, limit: cmp.Or(e.Concurrency, s.cfg.Concurrency)}
		}
	}
	r := receiver{gate: tenant + " ?", limit: s.cfg.Concurrency}
	if isURL(to) {
		r.url = to
		if u, err := url.Parse(to); err == nil {
			r.gate = tenant + " " + origin(u)
		}
	}
	return r
}

// origin is what of an address may be told: what follows may be a password.
func origin(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// isURL tells an address from the id of an endpoint.
func isURL(to string) bool { return strings.Contains(to, ":") }

// attempt tries a delivery once. An error is none of the receiver's, and no try.
func (s *Service) attempt(ctx context.Context, t *catalog.Tenant, d *webhook.Delivery, to receiver) (outcome, error) {
	if to.url == "" {
		return final(event.Invalid("webhook", "add it to the tenant's entry, or give a URL", "the tenant has no endpoint %q", d.To)), nil
	}
	client, target, err := s.door(to.url)
	if err != nil {
		return final(err), nil
	}
	header, body, err := s.signed(ctx, t, d)
	if err != nil {
		if event.AsError(err).Class.Retryable() {
			return outcome{}, err
		}
		return final(err), nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, errTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return final(event.Invalid("webhook", "give an https URL", "not an address")), nil
	}
	req.Header = header
	return s.post(client, req, cancel), nil
}

// signed is what is sent of a delivery.
func (s *Service) signed(ctx context.Context, t *catalog.Tenant, d *webhook.Delivery) (http.Header, []byte, error) {
	body, err := s.body(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := s.secrets(ctx, t, d.Tenant)
	if err != nil {
		return nil, nil, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {userAgent}}
	return header, body, webhook.Sign(header, d.ID, s.p.Now(), body, secrets...)
}

// door checks an address and returns the client that may reach it: http is for
// networks that the operator allows, everything else needs https.
func (s *Service) door(address string) (*fetch.Client, *url.URL, error) {
	target, err := s.public.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	if target.Scheme == "https" {
		return s.public, target, nil
	}
	return s.private, target, nil
}

// body is what the receiver is told.
func (s *Service) body(ctx context.Context, d *webhook.Delivery) ([]byte, error) {
	if d.Type == webhook.Test {
		return webhook.TestBody(d)
	}
	msg, err := s.bus.Result(ctx, d.Tenant, d.Job)
	if err != nil {
		return nil, err
	}
	if msg == nil {
		return nil, event.Invalid("job", "results are kept for a while only", "the result of job %s is gone", d.Job)
	}
	r, err := event.Decode[event.Result](msg.Data)
	if err != nil {
		return nil, err
	}
	if !r.FinishedAt.Equal(d.Finished) {
		return nil, event.Invalid("job", "the new result has a delivery of its own", "job %s has run again", d.Job)
	}
	return webhook.Body(r)
}

// secrets are those that sign for a tenant.
func (s *Service) secrets(ctx context.Context, t *catalog.Tenant, tenant string) ([]string, error) {
	if len(t.Webhooks.Secrets) > 0 || !webhook.HasGenerated(tenant) {
		return t.Webhooks.Secrets, nil
	}
	secret, err := webhook.Generated(ctx, s.bus)
	return []string{secret}, err
}

// post sends the request. That the receiver has it is said by the status alone; stop
// ends the rest.
func (s *Service) post(client *fetch.Client, req *http.Request, stop func()) outcome {
	resp, err := client.RoundTrip(req)
	if err != nil {
		return s.unreached(req, err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is written to it
	// A short answer is read to its end, so that the connection can be used again.
	defer time.AfterFunc(bodyTimeout, stop).Stop()
	start, _ := io.ReadAll(io.LimitReader(resp.Body, maxResponse)) // as much as came
	o := outcome{status: resp.StatusCode, verdict: works}
	if resp.StatusCode/100 == 2 {
		return o
	}
	o.response = strings.ToValidUTF8(string(start), "\uFFFD")
	o.err = &event.Error{Class: event.ClassUnavailable, Field: "webhook",
		Message: fmt.Sprintf("%s answered %d %s", origin(req.URL), resp.StatusCode, http.StatusText(resp.StatusCode))}
	switch status := resp.StatusCode; {
	case status == http.StatusGone:
		o.err.Class, o.err.Final, o.err.Hint = event.ClassInvalid, true, "the receiver wants no more; remove it from the jobs or the tenant's entry"
	case status/100 == 3:
		o.err.Hint = "redirects are not followed: give the address itself"
	case status >= 500 || status == http.StatusTooManyRequests:
		o.verdict = fails
		o.err.RetryAfter = fetch.RetryAfter(resp.Header.Get("Retry-After"), s.p.Now())
	}
	return o
}

// unreached says why there was no answer.
func (s *Service) unreached(req *http.Request, err error) outcome {
	e := &event.Error{Class: event.ClassUnavailable, Field: "webhook", Err: err}
	where := origin(req.URL)
	switch {
	case errors.Is(context.Cause(req.Context()), errTimeout):
		e.Message = fmt.Sprintf("%s gave no answer within %s", where, s.cfg.Timeout)
	case fetch.Refused(err):
		e.Class, e.Final = event.ClassInvalid, true
		e.Message = "the host " + req.URL.Hostname() + " may not be reached"
		e.Hint = "receivers have public addresses and https; the operator can allow a network with WEIR_NOTIFIER_ALLOW_PRIVATE"
		return outcome{err: e}
	default:
		e.Message = fmt.Sprintf("reaching %s: %v", where, fetch.Plain(err))
	}
	return outcome{err: e, verdict: fails}
}

// wait is how long after a failed try the next one is due; false when it was the last.
func (s *Service) wait(d *webhook.Delivery, o outcome) (time.Duration, bool) {
	if o.err.Final || d.Attempts >= len(s.cfg.Schedule) {
		return 0, false
	}
	planned := s.cfg.Schedule[d.Attempts]
	planned += spread(planned * 2 / 5)
	wait := max(planned, o.err.RetryAfter)
	return wait, !s.p.Now().Add(wait).After(d.Since.Add(s.cfg.GiveUpAfter))
}
