package openai

import "github.com/weir-dev/weir/pkg/llm"

// formatPatch is the part of the request that asks for JSON, empty for
// FormatNone.
func formatPatch(f *llm.Format) map[string]any {
	switch f.Mode {
	case llm.FormatStrict:
		return jsonSchema(map[string]any{"name": f.Name, "schema": f.Strict, "strict": true})
	case llm.FormatSchema:
		return jsonSchema(map[string]any{"name": f.Name, "schema": f.Schema, "strict": false})
	case llm.FormatTool:
		function := map[string]any{"name": f.Name, "description": "Takes the answer.", "parameters": f.Schema}
		return map[string]any{
			"tools":       []any{map[string]any{"type": "function", "function": function}},
			"tool_choice": map[string]any{"type": "function", "function": map[string]any{"name": f.Name}},
		}
	}
	return nil
}

// jsonSchema is a response_format with a schema.
func jsonSchema(schema map[string]any) map[string]any {
	return map[string]any{"response_format": map[string]any{"type": "json_schema", "json_schema": schema}}
}
