package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxEventBytes bounds one event of a stream.
const maxEventBytes = 4 << 20

// errTruncated says that a stream ended without its end mark.
var errTruncated = errors.New("the stream ended before [DONE]")

// errBadStream says that a stream holds something that is no event.
var errBadStream = errors.New("the stream is malformed")

// serverEvent is one server-sent event.
type serverEvent struct {
	name string // the "event:" field
	data string // the "data:" lines, joined by newlines
}

// eventReader parses server-sent events: comments, event names, data of
// several lines, and line ends of all three kinds but a lone CR.
type eventReader struct {
	r *bufio.Reader
}

func newEventReader(r io.Reader) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(r, 16<<10)}
}

// next returns the next event with data, or an error frame without any. It
// calls alive for every line, comments included. At the end of the stream it
// returns io.EOF; an event cut off by the end is not returned.
func (e *eventReader) next(alive func()) (serverEvent, error) {
	var ev serverEvent
	var data []string
	size := 0
	for {
		line, err := e.line(maxEventBytes - size)
		if err != nil {
			return serverEvent{}, err
		}
		alive()
		size += len(line)
		if line == "" {
			ev.data = strings.Join(data, "\n")
			if strings.TrimSpace(ev.data) != "" || ev.name == "error" {
				return ev, nil
			}
			ev, data, size = serverEvent{}, nil, 0
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "": // a comment
			size = 0
		case "data":
			data = append(data, value)
			if value == "[DONE]" && len(data) == 1 {
				return serverEvent{data: value}, nil // some servers close without the blank line
			}
		case "event":
			ev.name = value
		}
	}
}

// line reads one line without its end.
func (e *eventReader) line(room int) (string, error) {
	var full []byte
	for {
		part, err := e.r.ReadSlice('\n')
		full = append(full, part...)
		if len(full) > room {
			return "", fmt.Errorf("an event is larger than %d bytes: %w", maxEventBytes, errBadStream)
		}
		switch {
		case err == nil:
			return string(bytes.TrimRight(full, "\r\n")), nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
			// "data: [DONE]" is whole even without an end of line.
			if text := strings.TrimSpace(string(full)); text == "data: [DONE]" || text == "data:[DONE]" {
				return text, nil
			}
			return "", io.EOF
		default:
			return "", err
		}
	}
}

// compactLine puts the JSON of an event on one "data:" line.
func compactLine(data string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("data: ")
	if err := json.Compact(&b, []byte(data)); err != nil {
		return nil, fmt.Errorf("an event is not JSON (%w): %w", err, errBadStream)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// frameFailure finds the error in an event: an "error" event, or data with an
// "error" field, which is also how OpenRouter marks a chunk.
func frameFailure(ev serverEvent) *failure {
	var probe struct {
		Error json.RawMessage `json:"error"`
		Type  string          `json:"type"`
	}
	isJSON := json.Unmarshal([]byte(ev.data), &probe) == nil
	reports := isJSON && (len(probe.Error) > 0 && string(probe.Error) != "null" || probe.Type == "error")
	if ev.name != "error" && !reports {
		return nil
	}
	f := parseFailure(0, []byte(ev.data))
	f.status = f.statusOf(0)
	return f
}
