package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/weir-dev/weir/pkg/llm"
)

// doneMarker is the data that ends a stream.
const doneMarker = "[DONE]"

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
// returns io.EOF, or io.ErrUnexpectedEOF when that is inside an event, which is
// not returned.
func (e *eventReader) next(alive func()) (serverEvent, error) {
	var ev serverEvent
	var data []string
	size := 0
	for {
		line, err := e.line(maxEventBytes - size)
		if errors.Is(err, io.EOF) && (len(data) > 0 || ev.name != "") {
			err = io.ErrUnexpectedEOF
		}
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
			if value == doneMarker && len(data) == 1 {
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
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			// "data: [DONE]" is whole even without an end of line.
			if text := strings.TrimSpace(string(full)); text == "data: [DONE]" || text == "data:[DONE]" {
				return text, nil
			}
			if len(full) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
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

// frame is what an event says beside the text that go-openai reads.
type frame struct {
	failure     *failure
	finished    bool
	ServiceTier string `json:"service_tier"`
	Usage       *usage `json:"usage"`
}

// usage is a count of tokens with what go-openai leaves out.
type usage struct {
	Prompt        int `json:"prompt_tokens"`
	Completion    int `json:"completion_tokens"`
	PromptDetails struct {
		Cached     int `json:"cached_tokens"`
		CacheWrite int `json:"cache_write_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionDetails struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// parseFrame reads an event. An error is an "error" event, or data with an
// "error" field, which is also how OpenRouter marks a chunk. Fields of a type
// that they should not have are left to go-openai to refuse.
func parseFrame(ev serverEvent) frame {
	var out struct {
		frame
		Error   json.RawMessage `json:"error"`
		Type    string          `json:"type"`
		Choices []struct {
			FinishReason string `json:"finish_reason"`
		} `json:"choices"`
	}
	_ = json.Unmarshal([]byte(ev.data), &out)
	for _, choice := range out.Choices {
		out.finished = out.finished || choice.FinishReason != ""
	}
	reports := len(out.Error) > 0 && string(out.Error) != "null" || out.Type == "error"
	if ev.name == "error" || reports {
		out.failure = parseFailure(0, []byte(ev.data))
		out.failure.status = out.failure.statusOf(0)
	}
	return out.frame
}

// keep notes in c what the frame says.
func (f *frame) keep(c *call) {
	c.finished = c.finished || f.finished
	if f.ServiceTier != "" {
		c.tier = f.ServiceTier
	}
	if u := f.Usage; u != nil {
		c.usage = llm.Usage{
			PromptTokens: u.Prompt, CompletionTokens: u.Completion,
			CachedTokens: u.PromptDetails.Cached, CacheWriteTokens: u.PromptDetails.CacheWrite,
			ReasoningTokens: u.CompletionDetails.Reasoning,
		}
	}
}
