package event

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what kind of trouble an error is. It is computed once, where the
// trouble happens (an adapter, a decoder, a handler), and decides what becomes
// of the message: see [Class.Retryable] and the stage runner.
type Class string

// The classes.
const (
	// ClassInvalid: the job itself is wrong (bad JSON, missing field, unknown
	// model or collection). Never retried; the failed result names the field.
	ClassInvalid Class = "invalid"
	// ClassUnsupported: a version of Weir that this one does not speak; kept in
	// the dead letters so that a newer one can take it.
	ClassUnsupported Class = "unsupported"
	// ClassForbidden: the tenant may not use what the job names (a model, a
	// collection, a lane, an address).
	ClassForbidden Class = "forbidden"
	// ClassTooLarge: the job is larger than a limit that waiting can't lift.
	ClassTooLarge Class = "too_large"
	// ClassAuth: a provider refused the credentials.
	ClassAuth Class = "auth"
	// ClassQuota: the account has no credit or quota left.
	ClassQuota Class = "quota"
	// ClassContent: the provider's content filter or a refusal.
	ClassContent Class = "content"
	// ClassRejected: no model gave an answer that passes the job's checks; the
	// violations are with the error. Another try may do better, or cost as much again.
	ClassRejected Class = "rejected"
	// ClassThrottled: a rate limit; retried after RetryAfter.
	ClassThrottled Class = "throttled"
	// ClassRamp: within the limits, but the traffic grew too fast; retried, and
	// the rate is lowered for a while.
	ClassRamp Class = "ramp"
	// ClassUnavailable: a dependency is down, overloaded or slow; retried.
	ClassUnavailable Class = "unavailable"
	// ClassTruncated: an answer broke off before its end; retried, never stored.
	ClassTruncated Class = "truncated"
	// ClassDeadline: the job's deadline passed before it could be done.
	ClassDeadline Class = "deadline"
	// ClassCanceled: somebody asked for the job to stop.
	ClassCanceled Class = "canceled"
	// ClassPoison: the message broke its handler (panic) or was delivered too
	// often without an end; goes to the dead letters.
	ClassPoison Class = "poison"
	// ClassInternal: a defect or an unclassified error; retried, then dead-lettered.
	ClassInternal Class = "internal"
)

// Retryable reports whether the same message may succeed when tried later.
func (c Class) Retryable() bool {
	switch c {
	case ClassThrottled, ClassRamp, ClassUnavailable, ClassTruncated, ClassInternal:
		return true
	}
	return false
}

// DeadLetter reports whether the message must be kept for a later redrive when
// it is given up: always, unless the message itself is what is wrong or its
// time is over.
func (c Class) DeadLetter() bool {
	switch c {
	case ClassInvalid, ClassForbidden, ClassTooLarge, ClassContent, ClassRejected, ClassDeadline, ClassCanceled:
		return false
	}
	return true
}

// Error is the one error type that crosses rooms: a class, what is wrong, and
// what to do about it. It is also the JSON shape of a failed result's cause.
type Error struct {
	Class   Class  `json:"class"`
	Field   string `json:"field,omitempty"` // JSON path of the offending field, "" if none
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what the user should do next
	// Violations are what is wrong with an answer, of ClassRejected.
	Violations []Violation `json:"violations,omitempty"`
	// RetryAfter is the least wait before another try; 0 lets the runner choose.
	RetryAfter time.Duration `json:"-"`
	// Final says that nothing is left to try, whatever the class: the job's
	// attempts or money are used up.
	Final bool `json:"-"`
	// Err is the underlying error, for errors.Is/As; not on the wire.
	Err error `json:"-"`
}

// Error implements error: "class: field: message (hint)".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Class))
	if e.Field != "" {
		b.WriteString(": ")
		b.WriteString(e.Field)
	}
	b.WriteString(": ")
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(e.Hint)
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns the underlying error.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of class c; a %w verb in format sets Err.
func Errorf(c Class, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Class: c, Message: err.Error(), Err: errors.Unwrap(err)}
}

// Invalid returns a ClassInvalid error for one field with a hint on the fix.
func Invalid(field, hint, format string, args ...any) *Error {
	return &Error{Class: ClassInvalid, Field: field, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// AsError finds the Error in err's chain. An error without one becomes
// ClassDeadline or ClassCanceled when it is a context's, else ClassInternal.
// AsError(nil) is nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	class := ClassInternal
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		class = ClassDeadline
	case errors.Is(err, context.Canceled):
		class = ClassCanceled
	}
	return &Error{Class: class, Message: err.Error(), Err: err}
}
