package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Error is an error with its HTTP status.
type Error struct {
	Status int
	// Code is a stable name, such as not_found.
	Code string
	// RetryAfter is when to ask again; 0 says nothing of it.
	RetryAfter time.Duration
	Cause      *event.Error
}

// Error implements error.
func (e *Error) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// NotFound says that the caller has no such thing: whether another tenant has it is
// not told.
func NotFound(field, name string) *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found",
		Cause: &event.Error{Class: event.ClassInvalid, Field: field, Message: "there is no " + field + " " + strconv.Quote(name)}}
}

// Conflict says that the request does not fit what is there.
func Conflict(hint, message string) *Error {
	return &Error{Status: http.StatusConflict, Code: "conflict", Cause: &event.Error{Class: event.ClassInvalid, Message: message, Hint: hint}}
}

// From gives any error its status.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Cause: event.Errorf(event.ClassTooLarge, "the body has more than %d bytes", large.Limit)}
	}
	cause := event.AsError(err)
	return &Error{Status: status(cause.Class), Code: string(cause.Class), RetryAfter: cause.RetryAfter, Cause: cause}
}

func status(c event.Class) int {
	switch c {
	case event.ClassInvalid, event.ClassUnsupported:
		return http.StatusBadRequest
	case event.ClassAuth:
		return http.StatusUnauthorized
	case event.ClassForbidden:
		return http.StatusForbidden
	case event.ClassTooLarge:
		return http.StatusRequestEntityTooLarge
	case event.ClassThrottled:
		return http.StatusTooManyRequests
	case event.ClassContent, event.ClassRejected:
		return http.StatusUnprocessableEntity
	case event.ClassDeadline:
		return http.StatusGatewayTimeout
	case event.ClassCanceled:
		return http.StatusConflict
	case event.ClassUnavailable, event.ClassRamp, event.ClassQuota, event.ClassTruncated:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// ProblemDetails is the body of RFC 9457, with what Weir knows besides.
type ProblemDetails struct {
	Type         string            `json:"type"`
	Title        string            `json:"title"`
	Status       int               `json:"status"`
	Detail       string            `json:"detail,omitempty"`
	Code         string            `json:"code"`
	Field        string            `json:"field,omitempty"`
	Hint         string            `json:"hint,omitempty"`
	Violations   []event.Violation `json:"violations,omitempty"`
	RetryAfterMS int64             `json:"retry_after_ms,omitempty"`
}

// ProblemOf is an error as a problem.
func ProblemOf(e *Error) ProblemDetails {
	c := e.Cause
	return ProblemDetails{Type: "urn:weir:problem:" + e.Code, Title: http.StatusText(e.Status), Status: e.Status, Code: e.Code,
		Detail: c.Message, Field: c.Field, Hint: c.Hint, Violations: c.Violations, RetryAfterMS: e.RetryAfter.Milliseconds()}
}

// Problem is the Shape of RFC 9457.
func Problem(w http.ResponseWriter, _ *http.Request, e *Error) {
	WriteError(w, e, "application/problem+json", ProblemOf(e))
}

// WriteError sends an error's body, for a Shape.
func WriteError(w http.ResponseWriter, e *Error, contentType string, body any) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", contentType)
	boundWrite(w)
	w.WriteHeader(e.Status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck // the client may be gone
}

// writeTimeout bounds how slowly a client may read an answer that is no stream.
const writeTimeout = time.Minute

func boundWrite(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:errcheck // a connection without deadlines is a test's
}

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	boundWrite(w)
	w.WriteHeader(status)
	w.Write(append(data, '\n')) //nolint:errcheck // the client may be gone
	return nil
}
