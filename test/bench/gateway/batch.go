package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/weir-dev/weir/services/generator"
	"github.com/weir-dev/weir/test/internal/figures"
)

// benchBatch runs a batch of n short jobs, and as many completions by a direct
// client with the concurrency that Weir's generator has.
func benchBatch(ctx context.Context, r *rig, found figures.Figures, n int) error {
	var lines bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"small","max_tokens":32,"messages":[{"role":"user","content":"What is %d?"}]}}`+"\n", i, i)
	}
	begun := time.Now()
	output, err := r.batch(ctx, lines.Bytes())
	if err != nil {
		return err
	}
	found["batch_jobs_per_s"] = float64(n) / time.Since(begun).Seconds()
	if got := bytes.Count(output, []byte("\n")); got != n {
		return fmt.Errorf("the output has %d lines, want %d", got, n)
	}
	found["batch_lines"] = float64(n)
	direct, err := rate(ctx, generator.DefaultConfig().BatchSlots, n, func(ctx context.Context, i int) error { return r.chat(ctx, r.direct, fmt.Sprintf("What is %d?", i)) })
	if err != nil {
		return err
	}
	found["batch_direct_jobs_per_s"], found["batch_ratio"] = direct, found["batch_jobs_per_s"]/direct
	return nil
}

// batch runs a file of requests and returns the output file.
func (r *rig) batch(ctx context.Context, lines []byte) ([]byte, error) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	w.WriteField("purpose", "batch") //nolint:errcheck // into memory
	part, err := w.CreateFormFile("file", "bench.jsonl")
	if err != nil {
		return nil, err
	}
	part.Write(lines) //nolint:errcheck // into memory
	w.Close()         //nolint:errcheck // into memory
	var file, batch struct {
		ID     string `json:"id"`
		Status string `json:"status"`
		Output string `json:"output_file_id"`
		Errors any    `json:"errors"`
	}
	if err := r.into(ctx, &file, http.MethodPost, "/files", w.FormDataContentType(), form.Bytes()); err != nil {
		return nil, err
	}
	body := fmt.Appendf(nil, `{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, file.ID)
	if err := r.into(ctx, &batch, http.MethodPost, "/batches", "application/json", body); err != nil {
		return nil, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for batch.Status != "completed" {
		switch batch.Status {
		case "failed", "expired", "cancelled":
			return nil, fmt.Errorf("the batch is %s: %v", batch.Status, batch.Errors)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if err := r.into(ctx, &batch, http.MethodGet, "/batches/"+batch.ID, "application/json", nil); err != nil {
			return nil, err
		}
	}
	return r.do(ctx, http.MethodGet, r.weir+"/files/"+batch.Output+"/content", "application/json", nil)
}

// into makes a request to Weir and decodes the answer.
func (r *rig) into(ctx context.Context, value any, method, path, contentType string, body []byte) error {
	data, err := r.do(ctx, method, r.weir+path, contentType, body)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, value)
}
