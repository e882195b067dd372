package openai

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weir-dev/weir/pkg/event"
)

// wrap turns any error of a call into an *event.Error. The caller's own
// context comes first, then what the provider reported, then our timers, then
// the network.
func (c *Client) wrap(ctx context.Context, cl *call, err error) error {
	doing := cl.doing
	if ctx.Err() != nil {
		return contextError(ctx, doing)
	}
	if f := parseFailure(0, cl.head); cl.failure == nil && f.given { // an error with status 200
		f.status = f.statusOf(http.StatusBadGateway)
		c.doer.note(cl, f)
	}
	if cl.failure != nil {
		e := classify(cl.failure, &c.cfg.Dialect)
		e.Message = doing + ": " + e.Message
		e.Err = err
		return e
	}
	if late := cl.watch.late(); late != nil {
		e := event.Errorf(event.ClassUnavailable, "%s: %w", doing, late)
		e.Hint = "the provider at " + c.endpoint + " is slow or overloaded"
		return e
	}
	switch {
	case errors.Is(err, errTruncated):
		return event.Errorf(event.ClassTruncated, "%s: %w", doing, err)
	case errors.Is(err, errBadStream):
		return event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
	case cl.status/100 == 2 && cl.stream:
		// The connection broke inside the answer.
		return event.Errorf(event.ClassTruncated, "%s: reading the stream: %w", doing, bare(err))
	case cl.status/100 == 2:
		return event.Errorf(event.ClassUnavailable, "%s: reading the answer: %w", doing, bare(err))
	case errors.Is(err, errEncode):
		return event.Errorf(event.ClassInvalid, "%s: %w", doing, err)
	}
	e := event.Errorf(event.ClassUnavailable, "%s: %w", doing, bare(err))
	e.Hint = "check that " + c.endpoint + " is right and reachable"
	return e
}

// contextError passes the caller's cancellation or deadline on, with its cause.
func contextError(ctx context.Context, doing string) error {
	class := event.ClassCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		class = event.ClassDeadline
	}
	err := ctx.Err()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return event.Errorf(class, "%s: %w", doing, err)
}

// bare takes the URL, which may hold a password, out of an error.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
