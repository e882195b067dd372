package llmsim

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

const (
	typeInvalid       = "invalid_request_error"
	codeContextLength = "context_length_exceeded"
)

// apiError is an error in the shape of the OpenAI API.
type apiError struct {
	status  int
	Message string
	Type    string
	Param   string // "" is sent as null
	Code    string // "" is sent as null
}

// Error implements error.
func (e *apiError) Error() string { return e.Message }

// MarshalJSON writes the object under "error".
func (e *apiError) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}{e.Message, e.Type, nullable(e.Param), nullable(e.Code)})
}

func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// invalid returns a 400 error for one parameter.
func invalid(param, code, format string, args ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, Type: typeInvalid, Param: param, Code: code, Message: fmt.Sprintf(format, args...)}
}

func modelNotFound(model string) *apiError {
	return &apiError{status: http.StatusNotFound, Type: typeInvalid, Param: "model", Code: "model_not_found",
		Message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", model)}
}

// writeError answers with err; an error that is no apiError is a 500.
func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{status: http.StatusInternalServerError, Type: "server_error", Message: err.Error()}
	}
	if out, ok := w.(*answer); ok {
		c := out.call
		c.entry.Code = e.Code
		writeJSON(w, e.status, c.profile.body(e, c.failure(0)))
		return
	}
	writeJSON(w, e.status, map[string]any{"error": e})
}

// writeJSON answers with v. A write error means that the client is gone.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":{"message":"encoding the answer","type":"server_error","param":null,"code":null}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// decode reads a JSON request into v.
func (s *Server) decode(w http.ResponseWriter, r *http.Request, v any) error {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes)).Decode(v)
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	var api *apiError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooLarge):
		return &apiError{status: http.StatusRequestEntityTooLarge, Type: typeInvalid,
			Message: fmt.Sprintf("The request body is larger than %d bytes.", tooLarge.Limit)}
	case errors.As(err, &api):
		return api
	case errors.As(err, &wrongType):
		return invalid(wrongType.Field, "invalid_type", "Invalid type for '%s': got %s.", wrongType.Field, wrongType.Value)
	}
	return invalid("", "", "We could not parse the JSON body of your request: %v.", err)
}

// authorised refuses requests without the configured key.
func (s *Server) authorised(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := keyOf(r.Header)
		if s.cfg.APIKey != "" && subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.APIKey)) != 1 {
			writeError(w, &apiError{status: http.StatusUnauthorized, Type: typeInvalid, Code: "invalid_api_key",
				Message: "Incorrect API key provided."})
			return
		}
		next(w, r)
	}
}
