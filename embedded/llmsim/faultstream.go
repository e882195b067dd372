package llmsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// contentEvents is the type of a stream.
const contentEvents = "text/event-stream"

var (
	// errCut stops a handler whose stream a fault ended.
	errCut = errors.New("llmsim: stream cut by a fault")

	toolIndex = regexp.MustCompile(`("tool_calls":\[\{"index":)\d+`)
)

// answer is the http.ResponseWriter of a recorded request. It notes what was
// sent and does what a fault does to it: each Write of a stream is one event.
type answer struct {
	http.ResponseWriter
	call   *call
	ctx    context.Context //nolint:containedctx // of the request that this answers
	status int
	wrote  bool
	mute   bool // nothing more is sent
	abort  bool // the connection is closed at the end
	events int  // sent
}

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	if w.wrote {
		return
	}
	w.wrote, w.status = true, status
	w.call.entry.First = w.call.server.clock.now()
	if !w.mute && !w.lost() {
		w.ResponseWriter.WriteHeader(status)
	}
}

// lost reports whether nothing of the answer arrives.
func (w *answer) lost() bool {
	a := w.call.action
	return a != nil && a.LostResponse && w.call.entry.Admitted
}

// Write implements http.ResponseWriter.
func (w *answer) Write(p []byte) (int, error) {
	if !w.wrote {
		w.WriteHeader(http.StatusOK)
	}
	if w.lost() {
		return len(p), nil
	}
	if w.mute {
		return 0, errCut
	}
	if w.Header().Get("Content-Type") != contentEvents {
		return w.ResponseWriter.Write(p)
	}
	if w.events == 0 && w.call.profile.prelude != "" && w.call.entry.Endpoint == "chat" {
		if _, err := w.ResponseWriter.Write([]byte(w.call.profile.prelude)); err != nil {
			return 0, err
		}
	}
	if w.call.action != nil {
		if err := w.event(p); err != nil {
			return 0, err
		}
	} else if _, err := w.ResponseWriter.Write(p); err != nil {
		return 0, err
	}
	w.events++
	return len(p), nil
}

// FlushError flushes what a fault has left.
func (w *answer) FlushError() error {
	if w.mute || w.lost() {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// event sends one event of a stream as the action spoils it.
func (w *answer) event(p []byte) error {
	a := w.call.action
	isDone := bytes.HasPrefix(p, []byte("data: [DONE]"))
	if (isDone && a.Cut == cutNoDone) || (a.NoUsage && bytes.Contains(p, []byte(`"choices":[],`))) {
		return nil
	}
	if w.events == a.After {
		if err := w.spoil(a, p); err != nil {
			return err
		}
	}
	if a.DuplicateToolIdx {
		p = toolIndex.ReplaceAll(p, []byte("${1}0"))
	}
	p = append(bytes.Repeat([]byte(": keep-alive\n\n"), a.Comments), p...)
	if a.CRLF {
		p = bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))
	}
	if a.SplitUTF8 {
		at := splitInRune(p)
		if _, err := w.ResponseWriter.Write(p[:at]); err != nil {
			return err
		}
		if err := w.FlushError(); err != nil {
			return err
		}
		p = p[at:]
	}
	_, err := w.ResponseWriter.Write(p)
	return err
}

// splitInRune is a place inside the first long character, else the middle.
func splitInRune(p []byte) int {
	for i, c := range p {
		if c >= utf8.RuneSelf {
			return i + 1
		}
	}
	return len(p) / 2
}

// spoil does what comes after a number of events. An error ends the stream.
func (w *answer) spoil(a *Action, next []byte) error {
	switch {
	case a.Hang == hangAfterEvents:
		if err := w.FlushError(); err != nil {
			return err
		}
		if !w.call.hang(w.ctx) {
			return w.ctx.Err()
		}
	case a.MalformedChunk:
		_, err := fmt.Fprintf(w.ResponseWriter, "data: {\"id\":\"chatcmpl-broken\",\"choi\n\n")
		return err
	case a.Error != "":
		return w.endWith(errorText(a.Error, w.call.profile))
	case a.Cut == cutAbort:
		w.abort = true
		return w.endWith(string(next[:len(next)/2]))
	case a.Cut == cutEOF:
		return w.endWith("")
	}
	return nil
}

// endWith sends the last text of a stream.
func (w *answer) endWith(text string) error {
	w.call.entry.Truncated = true
	if _, err := w.ResponseWriter.Write([]byte(text)); err != nil {
		return err
	}
	err := w.FlushError()
	w.mute = true
	return errors.Join(err, errCut)
}

// errorText is an error inside of a stream.
func errorText(kind string, p *profile) string {
	const message = `"message":"The server had an error while processing your request. Sorry about that!"`
	switch {
	case kind == errorChunk:
		return `data: {"id":"gen-llmsim","object":"chat.completion.chunk","created":0,"model":"","error":{"code":502,` + message + `},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}` + "\n\ndata: [DONE]\n\n"
	case kind == errorEvent || p.name == ProfileAnthropic:
		return "event: error\ndata: " + `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}` + "\n\n"
	}
	return `data: {"error":{` + message + `,"type":"server_error","param":null,"code":null}}` + "\n\n"
}

// end closes the books on a request and, after a fault, its connection.
func (w *answer) end(r *http.Request) {
	c := w.call
	a := c.action
	e := c.entry
	e.Status, e.Done = w.status, c.server.clock.now()
	e.ClientGone = r.Context().Err() != nil
	lost := w.lost() && e.Paid
	if lost {
		e.Lost, w.abort = true, true
	}
	if a != nil && a.Cut == cutNoDone && strings.HasPrefix(w.Header().Get("Content-Type"), contentEvents) {
		e.Truncated = true
	}
	if w.abort && !w.wrote {
		e.Status = 0
	}
	c.server.price(e)
	c.server.ledger.end(c)
	if w.abort && !isOffline(r.Context()) {
		panic(http.ErrAbortHandler) // it closes the connection without a trace
	}
}
