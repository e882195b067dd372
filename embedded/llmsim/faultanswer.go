package llmsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// answers reports whether the action is an answer of its own.
func (a *Action) answers() bool { return a.Status != 0 || a.Body != "" || a.Status200Error }

// early is the action if it comes in place of the limits: refusals cost
// nothing, what fails later has been let in.
func (c *call) early() *Action {
	a := c.action
	if a != nil && a.answers() && a.Status >= http.StatusBadRequest && a.Status < http.StatusInternalServerError {
		return a
	}
	return nil
}

// answerFault sends an action's answer.
func (c *call) answerFault(w http.ResponseWriter, a *Action) {
	if a.Status == 0 {
		a.Status = http.StatusOK
	}
	body := a.Body
	if body == "" {
		e := &apiError{status: a.Status, Type: "server_error", Message: "The server had an error while processing your request. Sorry about that!"}
		data, err := json.Marshal(c.profile.body(e, c.failure(0)))
		if err != nil {
			data = []byte("{}")
		}
		body = string(data)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if strings.HasPrefix(body, "<") {
		h.Set("Content-Type", "text/html")
	}
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	const soon = 30 * time.Second
	now := c.server.clock.now()
	switch a.RetryAfter {
	case "":
	case retryNone:
		h.Del("Retry-After")
		h.Del("Retry-After-Ms")
	case retryWrong:
		h.Set("Retry-After", "soon")
	case retryPast:
		h.Set("Retry-After", now.Add(-soon).UTC().Format(http.TimeFormat))
	case retryHTTPDate:
		h.Set("Retry-After", now.Add(soon).UTC().Format(http.TimeFormat))
	default:
		h.Set("Retry-After", a.RetryAfter)
	}
	c.entry.Code = codeIn(body)
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(body))
}

// codeIn finds the code, else the type, of an error body.
func codeIn(body string) string {
	var got struct {
		Error struct {
			Code   any    `json:"code"`
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"error"`
	}
	if json.Unmarshal([]byte(body), &got) != nil {
		return ""
	}
	if code, ok := got.Error.Code.(string); ok && code != "" {
		return code
	}
	if got.Error.Status != "" {
		return got.Error.Status
	}
	return got.Error.Type
}
