package openai

import (
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

// doer is the HTTPDoer under go-openai. Around each request it sets headers,
// patches the body, and makes the answer honest: any error body has OpenAI's
// shape, a stream is a stream that ends with [DONE] or with an error.
type doer struct {
	client *http.Client
	cfg    Config
	now    func() time.Time
}

// Do implements goopenai.HTTPDoer.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	c, ok := req.Context().Value(callKey{}).(*call)
	if !ok {
		return nil, errors.New("a request without a call")
	}
	if err := patchBody(req, c.patch); err != nil {
		return nil, err
	}
	d.address(req, c)
	propagation.TraceContext{}.Inject(req.Context(), propagation.HeaderCarrier(req.Header))
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	c.status, c.header = resp.StatusCode, resp.Header
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		return d.fail(c, resp, resp.StatusCode), nil
	case c.stream && mediaType != "text/event-stream":
		return d.fail(c, resp, http.StatusBadGateway), nil
	case c.stream:
		resp.Body = &streamBody{call: c, doer: d, body: resp.Body, events: newEventReader(resp.Body)}
	case mediaType == "text/html":
		return d.fail(c, resp, http.StatusBadGateway), nil
	default:
		resp.Body = &headBody{call: c, now: d.now, ReadCloser: resp.Body}
		if c.base64 {
			resp.Body, err = numbersToBase64(resp.Body)
		}
	}
	return resp, err
}

// address sets what goes beside the body: the configured headers and query, the
// key, the idempotency key.
func (d *doer) address(req *http.Request, c *call) {
	if len(d.cfg.Query) > 0 {
		query := req.URL.Query()
		for name, value := range d.cfg.Query {
			query.Set(name, value)
		}
		req.URL.RawQuery = query.Encode()
	}
	req.Header.Del("Connection") // go-openai's "keep-alive" is the default and illegal in HTTP/2
	for name, value := range d.cfg.Headers {
		req.Header.Set(name, value)
	}
	switch auth := d.cfg.Dialect.Auth; {
	case d.cfg.APIKey == "" || auth == authNone:
	case auth == "" || auth == authBearer:
		req.Header.Set("Authorization", "Bearer "+d.cfg.APIKey)
	default:
		req.Header.Set(auth, d.cfg.APIKey)
	}
	if name := d.cfg.Dialect.IdempotencyHeader; name != "" && c.idempotencyKey != "" {
		// Not in canonical case: net/http sends a request with an Idempotency-Key
		// twice when its connection breaks, and providers would bill it twice.
		req.Header[strings.ToLower(name)] = []string{c.idempotencyKey}
	}
}

// fail reads the error in resp, notes it in c and gives resp OpenAI's shape.
// status is the one to report; an answer with status 2xx that carries an error
// with a status of its own reports that. A body that breaks off or never comes
// leaves the status.
func (d *doer) fail(c *call, resp *http.Response, status int) *http.Response {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	_ = resp.Body.Close()
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
	d.note(c, f)
	resp.StatusCode, resp.Status = f.status, strconv.Itoa(f.status)+" "+http.StatusText(f.status)
	normal := f.json()
	resp.Body = io.NopCloser(strings.NewReader(normal))
	resp.ContentLength = int64(len(normal))
	return resp
}

// note keeps what the provider reported, with what is needed to classify it.
func (d *doer) note(c *call, f *failure) {
	f.redact(d.cfg.APIKey)
	f.header = c.header
	f.now = serverTime(c.header, d.now())
	c.failure = f
}

// headBody keeps the first bytes of a body for an error message and bounds it.
type headBody struct {
	io.ReadCloser
	call *call
	now  func() time.Time
	read int64
}

// Read implements io.Reader.
func (b *headBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if n > 0 && b.call.ttft == 0 {
		b.call.ttft = max(b.now().Sub(b.call.started), 1)
	}
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
	doer    *doer
	body    io.ReadCloser
	events  *eventReader
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
	switch {
	case errors.Is(err, io.EOF) && s.call.finished && s.doer.cfg.Dialect.DoneMarker == optional:
		ev.data = doneMarker
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTruncated
	case err != nil:
		return nil, err
	}
	if strings.TrimSpace(ev.data) == doneMarker {
		s.call.done = true
		return []byte("data: " + doneMarker + "\n"), io.EOF
	}
	frame := parseFrame(ev)
	if frame.failure != nil {
		s.doer.note(s.call, frame.failure)
		return nil, frame.failure
	}
	frame.keep(s.call)
	if s.call.logprobs {
		s.call.tokens = appendLogprobs(s.call.tokens, []byte(ev.data))
	}
	s.call.token(s.doer.now())
	return compactLine(ev.data)
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
