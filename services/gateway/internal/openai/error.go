package openai

import (
	"net/http"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Error is the body of an error response.
type Error struct {
	Error ErrorObject `json:"error"`
}

// ErrorObject says what is wrong.
type ErrorObject struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// HeaderJob names the job of a request in its response.
const HeaderJob = "Weir-Job"

// Shape is the web.Shape of OpenAI's errors. The official clients send a request
// again on many errors; when it has become a job already that would be another one,
// and a conflict stays one, so they are told not to.
func Shape(w http.ResponseWriter, _ *http.Request, e *web.Error) {
	if w.Header().Get(HeaderJob) != "" || e.Status == http.StatusConflict {
		w.Header().Set("X-Should-Retry", "false")
	}
	web.WriteError(w, e, "application/json", bodyOf(e))
}

// ErrorOf is an error's status and body.
func ErrorOf(err error) (int, Error) {
	e := web.From(err)
	return e.Status, bodyOf(e)
}

// FailureOf is the error of a job that failed, or nil.
func FailureOf(r event.Result) error {
	if r.Status != event.StatusFailed {
		return nil
	}
	if r.Error == nil {
		return event.Errorf(event.ClassInternal, "job %s failed and its result has no cause", r.ID)
	}
	switch c := r.Error.Class; c {
	case event.ClassAuth, event.ClassQuota:
		// The provider refused Weir, not Weir the caller.
		return &web.Error{Status: http.StatusBadGateway, Code: "provider_" + string(c), Cause: r.Error}
	case event.ClassTooLarge:
		return &web.Error{Status: http.StatusBadRequest, Code: "context_length_exceeded", Cause: r.Error}
	}
	return web.From(r.Error)
}

func modelNotFound(name string) *web.Error {
	return &web.Error{Status: http.StatusNotFound, Code: "model_not_found", Cause: &event.Error{Class: event.ClassInvalid, Field: "model",
		Message: "the model " + quoted(name) + " does not exist or you do not have access to it", Hint: "see GET /v1/models"}}
}

// quoted shows a name of any length.
func quoted(name string) string {
	const most = 100
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "..."
	}
	return "`" + name + "`"
}

func bodyOf(e *web.Error) Error {
	c := e.Cause
	message := c.Message
	if c.Field != "" {
		message = c.Field + ": " + message
	}
	if c.Hint != "" {
		message += " (" + c.Hint + ")"
	}
	for _, v := range c.Violations {
		message += "; " + v.String()
	}
	o := ErrorObject{Message: message, Type: typeOf(e.Status), Code: codeOf(e)}
	if c.Field != "" {
		o.Param = param(c.Field)
	}
	return Error{Error: o}
}

// typeOf is the type that OpenAI gives errors of a status.
func typeOf(status int) string {
	switch {
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status < http.StatusInternalServerError:
		return "invalid_request_error"
	}
	return "server_error"
}

// codeOf is a stable name, OpenAI's where it has one.
func codeOf(e *web.Error) *string {
	code := e.Code
	switch {
	case code == string(event.ClassInvalid):
		return nil
	case e.Status == http.StatusUnauthorized:
		code = "invalid_api_key"
	case e.Status == http.StatusTooManyRequests:
		code = "rate_limit_exceeded"
	case code == string(event.ClassContent):
		code = "content_filter"
	}
	return &code
}

// param is the field of the request that a job's field comes from.
func param(field string) *string {
	name, rest, _ := strings.Cut(field, ".")
	switch name {
	case "schema":
		field = "response_format.json_schema.schema"
	case "params":
		if rest != "" {
			field = rest
		}
	case "id", "task", "rag", "lane", "deadline", "not_before", "checks", "webhook", "max_attempts", "max_cost_nano_usd", "no_cache":
		field = "weir." + field
	}
	return &field
}
