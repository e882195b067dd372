package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/weir-dev/weir/pkg/event"
)

const (
	// MaxChecks is the most checks of one list.
	MaxChecks = 50
	// maxExpr bounds an expression, in characters.
	maxExpr = 2000
	// maxCost bounds an evaluation, in CEL's own units, of which an operation is one
	// or, on texts, one for ten characters.
	maxCost = 1_000_000
	// maxElements bounds the values an evaluation holds at once.
	maxElements = 10_000_000
	// interruptEvery is after how many turns of a loop the context is looked at.
	interruptEvery = 1000
)

// Check is a condition on an answer. Its Name is [A-Za-z0-9_-]{1,64}.
type Check = event.Check

// Checks are compiled checks. They are safe for concurrent use.
type Checks struct {
	list     []Check
	programs []cel.Program
}

// Values are what checks see.
type Values struct {
	Answer   json.RawMessage // as [Schema.Check] returned it; nil where there is no schema
	Text     string
	Question string
}

// CompileChecks compiles a list, which may be empty. An error is an *event.Error of
// ClassInvalid for "checks.<name>.expr" or another field of that check.
func CompileChecks(list []Check) (*Checks, error) {
	if len(list) > MaxChecks {
		return nil, event.Invalid("checks", "combine some with &&", "has %d, at most %d are taken", len(list), MaxChecks)
	}
	if len(list) == 0 { // the environment of CEL takes longer to make than a job
		return &Checks{}, nil
	}
	env, err := cel.NewEnv(
		cel.Variable("answer", cel.DynType), cel.Variable("text", cel.StringType), cel.Variable("question", cel.StringType),
		ext.Strings(), ext.Math(), ext.Lists(), ext.Sets(),
		cel.ParserExpressionSizeLimit(maxExpr), cel.RegexProgramSizeLimit(maxPattern),
	)
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	c := &Checks{}
	seen := map[string]bool{}
	for _, one := range list {
		if err := event.CheckName("checks.name", one.Name); err != nil {
			return nil, err
		}
		if seen[one.Name] {
			return nil, event.Invalid("checks."+one.Name, "give each check its own name", "is there twice")
		}
		seen[one.Name] = true
		program, err := compileCheck(env, one.Expr)
		if err != nil {
			return nil, event.Invalid("checks."+one.Name+".expr", "write a CEL expression over answer, text and question", "%s", cut(err.Error(), maxMessage))
		}
		c.list, c.programs = append(c.list, one), append(c.programs, program)
	}
	return c, nil
}

// compileCheck compiles an expression.
func compileCheck(env *cel.Env, expr string) (cel.Program, error) {
	tree, issues := env.Compile(expr)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if kind := tree.OutputType(); !kind.IsExactType(cel.BoolType) && !kind.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("gives a %s, want a bool", kind)
	}
	return env.Program(tree, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.MemoryLimit(maxElements), cel.InterruptCheckFrequency(interruptEvery))
}

// Eval returns a violation for each check that does not hold, or that could not be
// evaluated: on a property that is missing, say, or past its bounds. A context that
// ends does not count as a violation: the caller looks at ctx.Err.
func (c *Checks) Eval(ctx context.Context, v Values) []Violation {
	if c == nil || len(c.list) == 0 {
		return nil
	}
	vars := map[string]any{"answer": v.Text, "text": v.Text, "question": v.Question}
	if v.Answer != nil {
		var answer any
		if err := json.Unmarshal(v.Answer, &answer); err != nil {
			return []Violation{{Keyword: KeywordJSON, Message: "the answer for the checks is not JSON"}}
		}
		vars["answer"] = answer
	}
	var out []Violation
	for i, program := range c.programs {
		if ctx.Err() != nil {
			return nil
		}
		if wrong := c.eval(ctx, program, vars); wrong != "" {
			one := c.list[i]
			if one.Message != "" {
				wrong = one.Message
			} else {
				wrong += ": " + strings.TrimSpace(one.Expr)
			}
			out = append(out, Violation{Keyword: one.Name, Message: cut(wrong, maxMessage)})
		}
	}
	return bounded(out)
}

// eval says what is wrong, "" if the check holds.
func (c *Checks) eval(ctx context.Context, program cel.Program, vars map[string]any) string {
	value, _, err := program.ContextEval(ctx, vars)
	switch {
	case ctx.Err() != nil:
		return ""
	case err != nil:
		return "can't be evaluated (" + cut(err.Error(), maxShown) + ")"
	case value == types.True:
		return ""
	case value == types.False:
		return "does not hold"
	}
	return fmt.Sprintf("gives a %s, not a boolean", value.Type().TypeName())
}
