package openai

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxMessage bounds the message of an error in bytes.
const maxMessage = 2000

// failure is an error a provider reported, whatever its shape was.
type failure struct {
	status  int // HTTP status, or the one the body names; 0 if unknown
	code    string
	kind    string // "type" in OpenAI's words
	param   string
	message string
	header  http.Header
	now     time.Time // when it was received; HTTP dates count from here
	// retryDelay is the wait the body asks for, 0 if none.
	retryDelay time.Duration
	// perDay says that the body names a daily quota (Gemini).
	perDay bool
	// requestID is the one in the body (Anthropic).
	requestID string
	// given says that the body was an error object, not some other text.
	given bool
}

// Error implements error.
func (f *failure) Error() string { return f.message }

// statusOf is the status the body itself names in a numeric code, else
// otherwise.
func (f *failure) statusOf(otherwise int) int {
	if n, err := strconv.Atoi(f.code); err == nil && n >= 400 && n <= 599 {
		return n
	}
	return otherwise
}

// redact removes a secret that a provider repeats.
func (f *failure) redact(secret string) {
	if len(secret) >= 8 {
		f.message = strings.ReplaceAll(f.message, secret, "[redacted]")
	}
}

// json is the failure in OpenAI's shape, in which go-openai can read it.
func (f *failure) json() string {
	body, err := json.Marshal(map[string]any{"error": map[string]string{
		"message": f.message, "type": f.kind, "code": f.code, "param": f.param,
	}})
	if err != nil {
		return `{"error":{"message":"unreadable error","type":"","code":"","param":""}}`
	}
	return string(body)
}

// parseFailure reads an error body: OpenAI's object, a string under "error"
// (Ollama, TEI), a list of objects (Gemini), bare fields (older vLLM), a
// "detail" (FastAPI), else the text of a page.
func parseFailure(status int, body []byte) *failure {
	f := &failure{status: status}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil && len(list) > 0 {
		body = list[0]
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) == nil {
		f.fromObject(top)
	}
	if f.message == "" {
		f.message = pageText(body)
	}
	if f.message == "" {
		f.message = http.StatusText(status)
	}
	if f.message == "" {
		f.message = "the provider reported an error without a message"
	}
	f.message = cutText(f.message, maxMessage)
	return f
}

// fromObject reads the fields of a JSON error.
func (f *failure) fromObject(top map[string]json.RawMessage) {
	f.requestID = text(top["request_id"])
	var inner map[string]json.RawMessage
	switch {
	case json.Unmarshal(top["error"], &inner) == nil && inner != nil:
		f.given = true
		f.fromFields(inner)
		f.fromDetails(inner["details"])
	case text(top["error"]) != "":
		f.given = true
		f.message = text(top["error"])
		f.kind = text(top["error_type"])
	case text(top["message"]) != "" || text(top["detail"]) != "":
		f.given = true
		f.fromFields(top)
		if f.message == "" {
			f.message = text(top["detail"])
		}
	}
}

func (f *failure) fromFields(fields map[string]json.RawMessage) {
	f.message = text(fields["message"])
	f.code = text(fields["code"])
	f.kind = text(fields["type"])
	f.param = text(fields["param"])
	if f.kind == "" {
		f.kind = text(fields["status"]) // Gemini
	}
	if f.message == "" && (f.code != "" || f.kind != "") {
		f.message = strings.TrimSpace(f.kind + " " + f.code)
	}
}

// fromDetails reads the wait Gemini asks for and the quota that is used up, and
// Anthropic's spend limit.
func (f *failure) fromDetails(raw json.RawMessage) {
	var one struct {
		ErrorCode string `json:"error_code"`
	}
	if json.Unmarshal(raw, &one) == nil && one.ErrorCode != "" {
		f.code = one.ErrorCode
	}
	var list []struct {
		RetryDelay string `json:"retryDelay"`
		Violations []struct {
			QuotaID string `json:"quotaId"`
		} `json:"violations"`
	}
	if json.Unmarshal(raw, &list) != nil {
		return
	}
	for _, d := range list {
		if wait, err := time.ParseDuration(d.RetryDelay); err == nil && wait > 0 {
			f.retryDelay = wait
		}
		for _, v := range d.Violations {
			f.perDay = f.perDay || strings.Contains(v.QuotaID, "PerDay")
		}
	}
}

// text is a JSON string, a number as text, or the strings of a list joined;
// null and everything else is "".
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return ""
	}
	var parts []string
	for _, item := range list {
		var fastAPI struct {
			Msg string `json:"msg"`
		}
		if json.Unmarshal(item, &fastAPI) == nil && fastAPI.Msg != "" {
			parts = append(parts, fastAPI.Msg)
		} else if s := text(item); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

var (
	titlePattern = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	hiddenTags   = regexp.MustCompile(`(?is)<(script|style)\b.*?</(script|style)>`)
	tagPattern   = regexp.MustCompile(`<[^>]*>`)
)

// pageText is what a page says: its title if it is HTML, else its text.
func pageText(body []byte) string {
	page := strings.ToValidUTF8(string(body), "")
	if m := titlePattern.FindStringSubmatch(page); m != nil {
		page = m[1]
	}
	page = tagPattern.ReplaceAllString(hiddenTags.ReplaceAllString(page, " "), " ")
	return cutText(strings.Join(strings.Fields(html.UnescapeString(page)), " "), 300)
}

// cutText cuts s to at most n bytes at a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
