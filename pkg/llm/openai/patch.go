package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// alias is the model name go-openai sees. The real one is patched into the
// body, out of reach of the library's checks of model names.
const alias = "alias"

// errEncode says that a request holds something JSON can't.
var errEncode = errors.New("the request can't be sent as JSON")

// patchBody replaces top-level fields of a request's JSON body; a nil value
// removes the field.
func patchBody(req *http.Request, patch map[string]any) error {
	if len(patch) == 0 || req.Body == nil {
		return nil
	}
	old, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return fmt.Errorf("reading the request body: %w", err)
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(old, &fields); err != nil {
		return fmt.Errorf("parsing the request body: %w", err)
	}
	for name, value := range patch {
		if value == nil {
			delete(fields, name)
			continue
		}
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("field %s: %w: %w", name, errEncode, err)
		}
		fields[name] = raw
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("encoding the request body: %w", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return nil
}
