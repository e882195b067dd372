package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type queryCmd struct {
	Text       string            `arg:"" help:"What to look for."`
	Collection string            `default:"docs" help:"Collection to look in."`
	Filter     map[string]string `placeholder:"KEY=VALUE" help:"Metadata that documents must have."`
	Reader     []string          `placeholder:"NAME" help:"Names (user, groups) the reader answers to, for access lists."`
	TopK       int               `default:"8" help:"How many passages."`
	Explain    bool              `help:"Show why: each list's rank and score, the fusion, the reranker."`
	Timeout    time.Duration     `default:"30s" help:"How long to wait."`
}

// Run prints the passages that retrieval finds, without asking a model.
func (c *queryCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		ctx, cancel := e.withTimeout(c.Timeout)
		defer cancel()
		reply, err := cl.Query(ctx, e.Tenant, event.QueryRequest{Text: c.Text, RAG: event.RAG{
			Collection: c.Collection, TopK: c.TopK, Readers: c.Reader, Filter: c.Filter}})
		if err != nil {
			return err
		}
		if e.JSON {
			return e.printJSON(reply)
		}
		c.print(e, &reply)
		return nil
	})
}

func (c *queryCmd) print(e *env, r *event.QueryReply) {
	for _, h := range r.Hits {
		fmt.Fprintf(e.out, "%2d  %s\n", h.Number, sourceLine(h.Source))
		if c.Explain {
			fmt.Fprintf(e.out, "    %s\n", explain(&h))
		}
		fmt.Fprintf(e.out, "    %s\n", excerpt(h.Text))
	}
	if len(r.Hits) == 0 {
		fmt.Fprintln(e.out, "nothing found")
	}
	if c.Explain {
		fmt.Fprintf(e.out, "\nlists %s, fusion %s, reranker %s; the passages cover %.2f of the question\n",
			strings.Join(r.Lists, ", "), cmp.Or(r.Fusion, "none"), cmp.Or(r.Reranker, "none"), r.Coverage)
	}
}

// explain says what each step thought of a passage.
func explain(h *event.QueryHit) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(h.Lists)) {
		parts = append(parts, fmt.Sprintf("%s #%d %.3f", name, h.Lists[name].Rank, h.Lists[name].Score))
	}
	parts = append(parts, fmt.Sprintf("fused #%d %.3f", h.Fused, h.Score))
	if h.Rerank != nil {
		parts = append(parts, fmt.Sprintf("reranked %.3f", *h.Rerank))
	}
	at := fmt.Sprintf("document %s version %d, bytes %d-%d", h.Document, h.Version, h.Start, h.End)
	if h.Page > 0 {
		at += fmt.Sprintf(", page %d", h.Page)
	}
	return strings.Join(parts, " | ") + " | " + at
}

// excerpt is the beginning of a passage on one line.
func excerpt(text string) string {
	const most = 160
	line := strings.Join(strings.Fields(text), " ")
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return line
}
