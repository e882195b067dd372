package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// bodyRate is how many bytes of a body must come a second, after a time of grace.
const bodyRate = 16 << 10

// JSON reads the request's body: one JSON value of at most limit bytes, checked by
// [CheckJSON], and sent as JSON.
func (r *Request) JSON(limit int64) ([]byte, error) {
	if err := CheckType(r.Request, "application/json"); err != nil {
		return nil, err
	}
	data, err := r.Bytes(limit)
	if err != nil {
		return nil, err
	}
	return data, CheckJSON(data)
}

// Bytes reads the request's body, of at most limit bytes.
func (r *Request) Bytes(limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, &http.MaxBytesError{Limit: limit}
	}
	var into bytes.Buffer
	if r.ContentLength > 0 {
		into.Grow(int(min(r.ContentLength, maxGuess)) + bytes.MinRead)
	}
	_, err := into.ReadFrom(&heldBody{Reader: http.MaxBytesReader(nil, r.Body, limit), r: r})
	return into.Bytes(), bodyError(err)
}

// maxBodies bounds what the bodies of all requests in work take, in bytes.
const maxBodies = 1 << 30

// heldBody counts what is read of a body until its request ends.
type heldBody struct {
	io.Reader
	r *Request
}

// Read implements io.Reader.
func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if b.r.mux == nil {
		return n, err
	}
	b.r.held += int64(n)
	if b.r.mux.bodies.Add(int64(n)) > maxBodies {
		return n, &Error{Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: time.Second, Cause: &event.Error{
			Class: event.ClassUnavailable, Message: "the bodies of other requests take all the room there is", Hint: "send it again after the time in Retry-After"}}
	}
	return n, err
}

// Release ends the count of a request's body, which its end does as well: a handler
// that waits for long calls it when it is done with the body.
func (r *Request) Release() {
	if r.mux == nil {
		return
	}
	r.mux.bodies.Add(-r.held)
	r.held = 0
}

// maxGuess bounds the memory that is taken on the word of a header.
const maxGuess = 1 << 20

// bodyError says what is wrong with a body that could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	var told *Error
	switch {
	case err == nil, errors.As(err, &large), errors.As(err, &told):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Error{Status: http.StatusRequestTimeout, Code: "too_slow", Cause: event.Invalid("body",
			fmt.Sprintf("send %d bytes a second, or more", bodyRate), "the body came too slowly")}
	}
	return event.Invalid("body", "send the whole body", "reading it: %v", err)
}

// CheckType checks that a request's body is of a media type, and not compressed.
func CheckType(r *http.Request, want string) error {
	got, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := params["charset"]
	switch {
	case err != nil || got != want:
		return unsupported("Content-Type", "send "+want, r.Header.Get("Content-Type"))
	case charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii"):
		return unsupported("Content-Type", "send UTF-8", charset)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return unsupported("Content-Encoding", "send the body as it is", coding)
	}
	return nil
}

func unsupported(field, hint, got string) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Cause: event.Invalid(field, hint, "got %q", got)}
}

// pacedBody is a request's body that must come at some pace. The deadline holds
// from the request's start to the body's end: what follows, a stream say, has none.
type pacedBody struct {
	io.ReadCloser
	conn  *http.ResponseController
	start time.Time
	grace time.Duration
	read  int64
	ended bool
}

// pace sets bounds to a request that has a body.
func pace(w http.ResponseWriter, r *http.Request, grace time.Duration) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	body := &pacedBody{ReadCloser: r.Body, conn: http.NewResponseController(w), start: time.Now(), grace: grace}
	body.extend()
	r.Body = body
}

// extend gives what is still to come the time that it may take.
func (b *pacedBody) extend() {
	allowed := b.grace + time.Duration(b.read)*time.Second/bodyRate
	b.conn.SetReadDeadline(b.start.Add(allowed)) //nolint:errcheck // a connection without deadlines is a test's
}

// Read implements io.Reader.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	switch {
	case b.ended:
	case err == nil:
		b.extend()
	case errors.Is(err, io.EOF):
		b.ended = true
		b.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	}
	return n, err
}
