// Package openai translates between OpenAI's API and jobs: chat completion requests
// to generate jobs, results to completions, and errors to OpenAI's shape.
package openai

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
)

// Names of models that are none: AutoModel leaves the choice to the default policy,
// TaskPrefix and the name of a task to the policy of that.
const (
	AutoModel  = "weir/auto"
	TaskPrefix = "weir/"
)

// decode reads a request's JSON; an error names the field.
func decode(body []byte, v any) error {
	if !utf8.Valid(body) {
		return event.Invalid("body", "send JSON in UTF-8", "has bytes that are no UTF-8")
	}
	err := json.Unmarshal(body, v)
	var typeErr *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typeErr) && typeErr.Field != "":
		return event.Invalid(typeErr.Field, "see docs/openai.md", "got a JSON %s, want %s", typeErr.Value, typeErr.Type)
	case errors.As(err, &typeErr):
		return event.Invalid("body", "send one JSON object", "got a JSON %s", typeErr.Value)
	}
	return event.Invalid("body", "send one JSON object", "no JSON: %v", err)
}

// null reports whether a value was left out.
func null(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// Resolve finds what a name of a model stands for in a catalog: the id of a model of
// one of the modes that the tenant may use, or a task. What it may not use does not
// exist for it, as with OpenAI.
func Resolve(c *catalog.Catalog, tenant, name string, modes ...catalog.Mode) (model, task string, err error) {
	t := c.Tenant(tenant)
	if task, ok := strings.CutPrefix(name, TaskPrefix); ok {
		if name == AutoModel {
			return "", "", nil
		}
		if !slices.Contains(tasks(c), task) || t.Allows("", "", task, "") != nil {
			return "", "", modelNotFound(name)
		}
		return "", task, nil
	}
	m, ok := c.Model(name)
	if !ok || !slices.Contains(modes, m.Mode) || t.Allows("", m.ID, "", "") != nil {
		return "", "", modelNotFound(name)
	}
	return m.ID, "", nil
}

// tasks are the names of the policies of a catalog.
func tasks(c *catalog.Catalog) []string {
	if c.Routing == nil {
		return nil
	}
	names := make([]string, 0, len(c.Routing.Tasks))
	for i := range c.Routing.Tasks {
		names = append(names, c.Routing.Tasks[i].Task)
	}
	return names
}
