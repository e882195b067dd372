package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Bounds of how slowly a reader may take an event: in eventTimeout, and eventRate
// bytes a second more. One that is slower is cut off: it may come back and go on
// where it was.
const (
	eventTimeout = 15 * time.Second
	eventRate    = 16 << 10
)

// EventStream writes server-sent events, each at once. It is used by one goroutine.
type EventStream struct {
	w     http.ResponseWriter
	conn  *http.ResponseController
	begun bool
	buf   []byte
}

// NewEventStream returns a stream of which nothing is written yet; it is to be ended.
func NewEventStream(w http.ResponseWriter) *EventStream {
	return &EventStream{w: w, conn: http.NewResponseController(w)}
}

// Begun reports whether the response has begun: errors are told in the stream then.
func (s *EventStream) Begun() bool { return s.begun }

// Begin tells the reader that it is connected, and after how long it should connect
// again when it is not any more.
func (s *EventStream) Begin(retry time.Duration) error {
	s.buf = append(s.buf, "retry: "...)
	s.buf = strconv.AppendInt(s.buf, retry.Milliseconds(), 10)
	return s.flush()
}

// Event writes one event with a value as JSON. Name and id may be "".
func (s *EventStream) Event(name, id string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	if name != "" {
		s.buf = append(append(append(s.buf, "event: "...), name...), '\n')
	}
	if id != "" {
		s.buf = append(append(append(s.buf, "id: "...), id...), '\n')
	}
	return s.Data(data)
}

// Data writes one event with data that has no line breaks.
func (s *EventStream) Data(data []byte) error {
	s.buf = append(append(s.buf, "data: "...), data...)
	return s.flush()
}

// Comment writes what readers skip: a sign of life.
func (s *EventStream) Comment(text string) error {
	s.buf = append(append(s.buf, ": "...), text...)
	return s.flush()
}

// flush ends what is in the buffer and sends it.
func (s *EventStream) flush() error {
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // nginx
		s.w.WriteHeader(http.StatusOK)
	}
	s.buf = append(s.buf, "\n\n"...)
	allowed := eventTimeout + time.Duration(len(s.buf))*time.Second/eventRate
	s.conn.SetWriteDeadline(time.Now().Add(allowed)) //nolint:errcheck // a connection without deadlines is a test's
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.conn.Flush()
	}
	const keep = 4 << 10 // of an idle reader's memory
	if s.buf = s.buf[:0]; cap(s.buf) > keep {
		s.buf = nil
	}
	if err != nil {
		return fmt.Errorf("writing to the reader: %w", err)
	}
	return nil
}

// End lets the connection be used for another request.
func (s *EventStream) End() {
	s.conn.SetWriteDeadline(time.Time{}) //nolint:errcheck // as above
}
