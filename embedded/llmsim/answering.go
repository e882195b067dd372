package llmsim

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
)

var (
	schemaName       = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	confidenceWanted = regexp.MustCompile(`Confidence:`)
)

// confidenceSteps is the number of values a confidence has.
const confidenceSteps = 1000.0

// draft is one choice before it is cut to the limits.
type draft struct {
	text    string
	refusal string
	calls   []toolCall
	right   bool
}

// responseFormat asks for text, for any JSON object or for one of a schema.
type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema struct {
		Name   string          `json:"name"`
		Schema json.RawMessage `json:"schema"`
		Strict bool            `json:"strict"`
	} `json:"json_schema"`
	schema *schema // set by check
}

// parseSchema reads the schema of an object.
func parseSchema(data []byte, strict bool) (*schema, error) {
	s := &schema{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, err
	}
	root, err := s.resolve(s)
	if err != nil {
		return nil, err
	}
	if !root.isObject() {
		return nil, fmt.Errorf("schema must be a JSON Schema of 'type: \"object\"', got 'type: %q'", strings.Join(root.Type, ", "))
	}
	if strict {
		return s, s.strict("")
	}
	return s, nil
}

// checkFormat refuses a wrong response_format and parses its schema.
func (q *chatRequest) checkFormat() error {
	f := q.ResponseFormat
	switch {
	case f == nil || f.Type == "text":
		return nil
	case f.Type == "json_object" && !q.mentionsJSON():
		return invalid("messages", "", "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.")
	case f.Type == "json_object":
		return nil
	case f.Type != "json_schema":
		return invalid("response_format", "invalid_value", "Invalid value: '%s'. Supported values are: 'json_object', 'json_schema', and 'text'.", f.Type)
	case !schemaName.MatchString(f.JSONSchema.Name):
		return invalid("response_format.json_schema.name", "invalid_value", "Invalid 'response_format.json_schema.name': '%s', expected 1 to 64 letters, digits, '_' or '-'.", f.JSONSchema.Name)
	case len(f.JSONSchema.Schema) == 0:
		return invalid("response_format.json_schema.schema", "missing_required_parameter", "Missing required parameter: 'response_format.json_schema.schema'.")
	}
	var err error
	if f.schema, err = parseSchema(f.JSONSchema.Schema, f.JSONSchema.Strict); err != nil {
		return f.wrongSchema(err)
	}
	return nil
}

func (f *responseFormat) wrongSchema(err error) error {
	return invalid("response_format", "invalid_json_schema", "Invalid schema for response_format '%s': %v.", f.JSONSchema.Name, err)
}

func (q *chatRequest) mentionsJSON() bool {
	for _, m := range q.Messages {
		if strings.Contains(strings.ToLower(m.Content.text), "json") {
			return true
		}
	}
	return false
}

// draft makes choice number n: what a directive orders, else tool calls, else
// what the tools returned or the plain answer, in the format asked for.
func (s *Server) draft(q *chatRequest, n int, rnd *rand.Rand) (draft, error) {
	if d, ok := s.directed(q); ok {
		return d, nil
	}
	calls, err := s.toolCalls(q, rnd)
	if err != nil || len(calls) > 0 {
		return draft{calls: calls, right: true}, err
	}
	d := s.plain(q, n, rnd)
	if text, ok := toolAnswer(q.Messages); ok {
		d = draft{text: text, right: true}
	}
	sure := s.known.confidence(d.right, rnd)
	if f := q.ResponseFormat; f != nil && f.Type != "text" {
		d.text, err = s.structured(q, d, sure, rnd)
	} else if q.wantsConfidence() {
		d.text += "\nConfidence: " + strconv.FormatFloat(sure, 'f', -1, 64)
	}
	return d, err
}

// plain answers the question: from the gold answers, the context blocks or, an
// echo, the question itself; wrongly when the model doesn't know.
func (s *Server) plain(q *chatRequest, n int, rnd *rand.Rand) draft {
	blocks, question := parsePrompt(q.Messages)
	text, ok := s.known.goldAnswer(blocks, question)
	switch {
	case ok:
	case len(blocks) > 0:
		text = answerFromBlocks(blocks, question)
	default:
		text = echo(question)
	}
	right := s.known.knows(q.Model, question, q.sample(n)) || q.directive.mode == modeRight
	if !right || q.directive.mode == modeWrong {
		if wrong := s.known.wrongAnswer(blocks, question, text, rnd); wrong != "" {
			return draft{text: wrong}
		}
	}
	return draft{text: text, right: true}
}

// sample sets repeated draws of one question apart: the choices of one request
// and requests with a seed, unless the temperature is zero.
func (q *chatRequest) sample(n int) string {
	if q.Temperature != nil && *q.Temperature == 0 || n == 0 && q.Seed == nil {
		return ""
	}
	return q.seedText() + "/" + strconv.Itoa(n)
}

func (q *chatRequest) seedText() string {
	if q.Seed == nil {
		return ""
	}
	return strconv.FormatInt(*q.Seed, 10)
}

// structured writes a draft's text as JSON, filling the other fields of the
// schema from the context.
func (s *Server) structured(q *chatRequest, d draft, sure float64, rnd *rand.Rand) (string, error) {
	f := q.ResponseFormat
	if f.schema == nil {
		out, err := json.Marshal(map[string]string{"answer": d.text})
		return string(out), err
	}
	blocks, question := parsePrompt(q.Messages)
	var b strings.Builder
	for _, m := range q.Messages {
		if m.Role == roleTool || m.Role == roleUser && len(blocks) == 0 {
			b.WriteString(m.Content.text + "\n")
		}
	}
	for _, block := range blocks {
		b.WriteString(block.text + "\n")
	}
	if len(blocks) > 0 {
		b.WriteString(question)
	}
	from := newFacts(b.String())
	from.answer, from.confidence = d.text, sure
	if !d.right {
		from.avoid = s.known.gold[normalQuestion(question)].Answer
	}
	fill := filler{root: f.schema, from: from, rnd: rnd}
	out, err := fill.value(f.schema, "", 0)
	if err != nil {
		return "", f.wrongSchema(err)
	}
	return string(out), nil
}

// wantsConfidence reports whether the instructions ask for a last line
// "Confidence: 0.87".
func (q *chatRequest) wantsConfidence() bool {
	for _, m := range q.Messages {
		if m.Role != roleAssistant && confidenceWanted.MatchString(blockPattern.ReplaceAllString(m.Content.text, "")) {
			return true
		}
	}
	return false
}

// confidence draws what a model says about its answer, above 0 and below 1:
// as good a sign of right and wrong as the log probabilities, but another draw.
func (k *knowledge) confidence(right bool, rnd *rand.Rand) float64 {
	sure := math.Exp(k.errors().meanLogprob(right, rnd))
	return min(max(math.Round(sure*confidenceSteps), 1), confidenceSteps-1) / confidenceSteps
}

// errors returns the model of errors; without one only log probabilities are
// drawn from it.
func (k *knowledge) errors() *Difficulty {
	if k.difficulty == nil {
		return &Difficulty{}
	}
	return k.difficulty
}
