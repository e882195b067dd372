package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type askCmd struct {
	Question   string            `arg:"" help:"The question."`
	Collection string            `default:"docs" help:"Collection whose documents ground the answer."`
	Reader     []string          `placeholder:"NAME" help:"Names (user, groups) the reader answers to, for access lists."`
	Filter     map[string]string `placeholder:"KEY=VALUE" help:"Metadata that documents must have."`
	TopK       int               `default:"0" help:"How many chunks the model is shown (0: the router's default)."`
	Model      string            `help:"Model to use (default: the router's choice)."`
	Task       string            `help:"Task whose policy chooses the model (default: the default policy)."`
	Timeout    time.Duration     `default:"2m" help:"How long to wait for the answer; the job's deadline as well."`
}

// Run asks and prints the answer as it arrives.
func (c *askCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		result, err := ask(e, cl, c)
		if err != nil {
			return err
		}
		return jobError(result)
	})
}

// ask submits the question and shows the answer and its receipt.
func ask(e *env, cl *client.Client, c *askCmd) (event.Result, error) {
	ctx, cancel := e.withTimeout(c.Timeout)
	defer cancel()
	job := event.GenerateJob{
		Model: c.Model, Task: c.Task, Messages: []event.Message{{Role: "user", Content: c.Question}},
		RAG: &event.RAG{Collection: c.Collection, TopK: c.TopK, Readers: c.Reader, Filter: c.Filter}, Stream: true,
	}
	if c.Timeout > 0 {
		job.Deadline = time.Now().Add(c.Timeout).UTC()
	}
	id, err := cl.Generate(ctx, e.Tenant, job)
	if err != nil {
		return event.Result{}, err
	}
	shown := false
	result, err := cl.Follow(ctx, e.Tenant, id, e.answerPrinter(&shown))
	if shown && result.Answer == nil {
		fmt.Fprintln(e.out) // it broke off in the middle of a line
	}
	if err != nil {
		return result, waitError(err, id)
	}
	if e.JSON {
		return result, e.printJSON(result)
	}
	printEnd(e.out, result)
	return result, nil
}

// answerPrinter prints the pieces of an answer as they arrive, and notes that
// it has shown some.
func (e *env) answerPrinter(shown *bool) client.Follower {
	if e.JSON {
		return client.Follower{}
	}
	return client.Follower{
		Delta:   func(text string) { fmt.Fprint(e.out, text); *shown = true },
		Restart: func() { fmt.Fprint(e.out, "\n[the answer broke off and starts over]\n") },
	}
}

// printEnd prints what follows an answer: citations and receipt.
func printEnd(w io.Writer, r event.Result) {
	if r.Answer != nil {
		fmt.Fprintln(w)
		if len(r.Answer.Citations) > 0 {
			fmt.Fprintln(w)
		}
		for _, s := range r.Answer.Citations {
			fmt.Fprintf(w, "  [%d] %s\n", s.Number, sourceLine(s))
			if s.Quote != "" {
				fmt.Fprintf(w, "      %q\n", excerpt(s.Quote))
			}
		}
	}
	if r.Answer != nil && r.Answer.FinishReason == event.FinishAbstained && r.Receipt.Retrieval != nil {
		fmt.Fprintf(w, "\n  no model was asked: the passages found cover %.0f %% of the question\n", 100*r.Receipt.Retrieval.Coverage)
	}
	if len(r.Receipt.Attempts) > 0 {
		fmt.Fprintf(w, "\n  %s\n", receiptLine(r.Receipt))
	}
	if line := routingLine(r.Receipt); line != "" {
		fmt.Fprintf(w, "  %s\n", line)
	}
}

// routingLine says how the model was chosen and what that saved, "" when the job
// named it.
func routingLine(r event.Receipt) string {
	if hit := r.Cache; hit != nil {
		return fmt.Sprintf("known from job %s (%s) | saved $%s", hit.Job, hit.Kind, usd(hit.SavedNanoUSD))
	}
	route := r.Routing
	if route == nil {
		return ""
	}
	line := "task " + route.Task
	for _, step := range route.Escalated {
		line += fmt.Sprintf(" | not accepted: %s (%s, p %.2f)", step.Model, step.Gate, step.P)
	}
	if route.Exhausted {
		line += " | no answer was accepted"
	}
	if route.Reference != "" && route.ReferenceCostNanoUSD > 0 {
		line += fmt.Sprintf(" | %s would have cost $%s", route.Reference, usd(route.ReferenceCostNanoUSD))
	}
	return line
}

// sourceLine is a citation: where, the title and section path, and the page.
func sourceLine(s event.Source) string {
	line := cmp.Or(s.Source, s.Document)
	path := s.Section
	if s.Title != "" && (len(path) == 0 || path[0] != s.Title) {
		path = append([]string{s.Title}, path...)
	}
	if len(path) > 0 {
		line += ", " + strings.Join(path, " > ")
	}
	if s.Page > 0 {
		line += fmt.Sprintf(", page %d", s.Page)
	}
	return line
}

// receiptLine sums a receipt up.
func receiptLine(r event.Receipt) string {
	models := make([]string, len(r.Attempts))
	for i, a := range r.Attempts {
		models[i] = a.Model
	}
	return fmt.Sprintf("models %s | tokens %d in, %d out | cost $%s | waiting %s, retrieving %s, generating %s, total %s",
		strings.Join(models, ", "), r.PromptTokens, r.CompletionTokens, usd(r.CostNanoUSD),
		ms(r.WaitingMS), ms(r.RetrievingMS), ms(r.GeneratingMS), ms(r.TotalMS))
}

// usd writes nano-USD as dollars, exactly.
func usd(nano int64) string {
	text := fmt.Sprintf("%d.%09d", nano/1e9, nano%1e9)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

func ms(v float64) string {
	d := time.Duration(v * float64(time.Millisecond))
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1fms", v)
	}
	return d.Round(time.Millisecond).String()
}
