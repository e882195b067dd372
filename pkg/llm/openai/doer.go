package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/propagation"
)

const (
	// maxErrorBytes bounds what is kept of an error's body.
	maxErrorBytes = 64 << 10
	// maxBodyBytes bounds an answer that is not a stream.
	maxBodyBytes = 256 << 20
	// drainWait bounds the wait for the end of a finished stream's body, which
	// lets its connection be used again.
	drainWait = 250 * time.Millisecond
)

// call is what one request wants from the doer, and what the doer saw.
type call struct {
	stream bool
	// patch replaces top-level fields of the JSON body.
	patch map[string]any
	// idempotencyKey is sent as Idempotency-Key when set.
	idempotencyKey string
	// watch stops the call when the provider is silent; nil without timers.
	watch *watchdog

	// Filled by the doer:
	status  int
	header  http.Header
	head    []byte   // first bytes of an answer that is not a stream
	failure *failure // what the provider reported, nil if nothing
	done    bool     // the stream ended with [DONE]
}

type callKey struct{}

// withCall attaches c to ctx for the doer.
func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// doer is the HTTPDoer under go-openai. Around each request it sets headers,
// patches the body, and makes the answer honest: any error body has OpenAI's
// shape, a stream is a stream that ends with [DONE] or with an error.
type doer struct {
	client *http.Client
	secret string // the API key, never shown in an error
	now    func() time.Time
}

// Do implements goopenai.HTTPDoer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	c, ok := req.Context().Value(callKey{}).(*call)
	if !ok {
		c = &call{}
	}
	if err := patchBody(req, c.patch); err != nil {
		return nil, err
	}
	if c.idempotencyKey != "" {
		req.Header.Set("Idempotency-Key", c.idempotencyKey)
	}
	req.Header.Del("Connection") // go-openai's "keep-alive" is the default and illegal in HTTP/2
	propagation.TraceContext{}.Inject(req.Context(), propagation.HeaderCarrier(req.Header))
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	c.status, c.header = resp.StatusCode, resp.Header
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		return d.fail(c, resp, resp.StatusCode)
	case c.stream && mediaType != "text/event-stream":
		return d.fail(c, resp, http.StatusBadGateway)
	case c.stream:
		resp.Body = &streamBody{call: c, body: resp.Body, events: newEventReader(resp.Body), secret: d.secret}
	case mediaType == "text/html":
		return d.fail(c, resp, http.StatusBadGateway)
	default:
		resp.Body = &headBody{call: c, ReadCloser: resp.Body}
	}
	return resp, nil
}

// fail reads the error in resp, notes it in c and gives resp OpenAI's shape.
// status is the one to report; an answer with status 2xx that carries an error
// with a status of its own reports that.
func (d *doer) fail(c *call, resp *http.Response, status int) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	_ = resp.Body.Close()
	if err != nil && len(body) == 0 {
		return nil, fmt.Errorf("reading the error with status %d: %w", resp.StatusCode, err)
	}
	f := parseFailure(status, body)
	switch {
	case resp.StatusCode/100 == 3:
		f.status = http.StatusBadGateway
		f.message = fmt.Sprintf("the endpoint redirects (status %d)", resp.StatusCode)
	case resp.StatusCode/100 == 2 && f.given:
		f.status = f.statusOf(status)
	case resp.StatusCode/100 == 2:
		f.message = fmt.Sprintf("the endpoint answered with status %d and content type %q: %s", resp.StatusCode, resp.Header.Get("Content-Type"), f.message)
	}
	f.redact(d.secret)
	f.header = resp.Header
	f.now = d.now()
	c.failure = f
	resp.StatusCode, resp.Status = f.status, strconv.Itoa(f.status)+" "+http.StatusText(f.status)
	normal := f.json()
	resp.Body = io.NopCloser(strings.NewReader(normal))
	resp.ContentLength = int64(len(normal))
	return resp, nil
}

// headBody keeps the first bytes of a body for an error message and bounds it.
type headBody struct {
	io.ReadCloser
	call *call
	read int64
}

// Read implements io.Reader.
func (b *headBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if room := maxErrorBytes - len(b.call.head); room > 0 {
		b.call.head = append(b.call.head, p[:min(n, room)]...)
	}
	if b.read > maxBodyBytes {
		return n, fmt.Errorf("the answer is larger than %d bytes", maxBodyBytes)
	}
	return n, err
}

// streamBody is the body go-openai reads: one "data:" line per event, [DONE]
// at the end. It turns everything else into an error.
type streamBody struct {
	call    *call
	body    io.ReadCloser
	events  *eventReader
	secret  string
	pending []byte
	err     error
	once    sync.Once
}

// Read implements io.Reader.
func (s *streamBody) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.pending, s.err = s.next()
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// next returns the next line for go-openai.
func (s *streamBody) next() ([]byte, error) {
	ev, err := s.events.next(s.call.watch.alive)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errTruncated
		}
		return nil, err
	}
	if strings.TrimSpace(ev.data) == "[DONE]" {
		s.call.done = true
		return []byte("data: [DONE]\n"), io.EOF
	}
	if f := frameFailure(ev); f != nil {
		f.redact(s.secret)
		s.call.failure = f
		return nil, f
	}
	s.call.watch.token()
	line, err := compactLine(ev.data)
	if err != nil {
		return nil, err
	}
	return line, nil
}

// Close drains what follows [DONE], so that the connection can be used again,
// and closes the body. A stream that is not at its end is just closed.
func (s *streamBody) Close() error {
	var err error
	s.once.Do(func() {
		if s.call.done {
			s.drain()
		}
		err = s.body.Close()
	})
	return err
}

// drain reads up to the end of the body, for drainWait at most: then the call
// is cancelled, which ends the read.
func (s *streamBody) drain() {
	timer := time.AfterFunc(drainWait, s.call.watch.abandon)
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, s.body, maxErrorBytes)
}
