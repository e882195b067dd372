package openai

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// timeoutError is the cause of a call that its own timers ended.
type timeoutError struct {
	what  string
	limit time.Duration
}

// Error implements error.
func (e *timeoutError) Error() string {
	return fmt.Sprintf("the provider sent %s within %s", e.what, e.limit)
}

// watchdog ends a call when the provider is silent for too long: until the
// first token (comments don't count), between two lines after it, and in all.
type watchdog struct {
	cancel context.CancelCauseFunc
	cause  func() error
	limits Timeouts
	total  *time.Timer

	mu    sync.Mutex
	first *time.Timer
	idle  *time.Timer
}

// watch returns a context that the watchdog may end. For calls that have no
// tokens (streaming is false) only the total is watched.
func watch(ctx context.Context, limits Timeouts, streaming bool) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{cancel: cancel, cause: func() error { return context.Cause(ctx) }, limits: limits}
	w.total = w.after(limits.Total, "no complete answer")
	if streaming {
		w.first = w.after(limits.FirstToken, "no first token")
	}
	return ctx, w
}

func (w *watchdog) after(limit time.Duration, what string) *time.Timer {
	return time.AfterFunc(limit, func() { w.cancel(&timeoutError{what: what, limit: limit}) })
}

// token notes that a piece of the answer arrived.
func (w *watchdog) token() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first != nil {
		w.first.Stop()
		w.first = nil
	}
	if w.idle == nil {
		w.idle = w.after(w.limits.Idle, "nothing")
	}
}

// alive notes that the connection lives.
func (w *watchdog) alive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle != nil {
		w.idle.Reset(w.limits.Idle)
	}
}

// abandon ends the call at once.
func (w *watchdog) abandon() {
	w.cancel(context.Canceled)
}

// late is the error of the timer that ended the call, nil if none did.
func (w *watchdog) late() error {
	var late *timeoutError
	if errors.As(w.cause(), &late) {
		return late
	}
	return nil
}

// stop ends the timers and the context; the call is over.
func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.total.Stop()
	if w.first != nil {
		w.first.Stop()
	}
	if w.idle != nil {
		w.idle.Stop()
	}
	w.cancel(context.Canceled)
}
