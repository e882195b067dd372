package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/test/internal/system"
)

// TestBatchSurvivesKills: the gateway that runs a batch is killed, and so are a router
// and a generator at work on its lines; every line is answered once, in order.
// WEIR_CHAOS_LINES sets their number.
func TestBatchSurvivesKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("CHAOS NOT RUN: -short skips the tests that kill processes at work")
	}
	lines := int(setting(t, "WEIR_CHAOS_LINES", 2000))
	sys := system.Start(t, system.Options{Mode: system.Separate, SimArgs: []string{"--ttft", "20ms", "--per-token", "1ms"}, Env: map[string]string{"WEIR_GATEWAY_BATCH_WINDOW": "200"}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	c := sys.Client(t)
	var in strings.Builder
	for i := range lines {
		fmt.Fprintf(&in, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"small","max_tokens":8,"messages":[{"role":"user","content":"q%d"}]}}`+"\n", i, i)
	}
	info, err := c.Upload(ctx, tenant, file.Info{Name: "in.jsonl", Purpose: "batch"}, strings.NewReader(in.String()))
	if err != nil {
		t.Fatal(err)
	}
	id, err := c.Batch(ctx, tenant, event.BatchJob{InputFile: info.ID, Endpoint: "/v1/chat/completions"})
	if err != nil {
		t.Fatal(err)
	}
	victims := []string{"gateway", "router", "generator"}
	result, err := c.Follow(ctx, tenant, id, client.Follower{Life: func(l event.Life) {
		if l.Progress == nil || len(victims) == 0 || l.Progress.Done < lines/5*(4-len(victims)) {
			return
		}
		t.Logf("%d lines are done: killing %s", l.Progress.Done, victims[0])
		sys.Restart(victims[0])
		victims = victims[1:]
	}})
	if err != nil {
		t.Fatal(err)
	}
	b := result.Batch
	if len(victims) > 0 || b == nil || b.Completed != lines || b.Failed != 0 {
		t.Fatalf("got %+v (error %v), %v are alive", b, result.Error, victims)
	}
	content, _, err := c.Download(ctx, tenant, b.OutputFile)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		var row struct {
			CustomID string `json:"custom_id"`
		}
		if err := json.Unmarshal(line, &row); err != nil || row.CustomID != fmt.Sprintf("c%d", n) {
			t.Fatalf("line %d is %s (%v)", n, line, err)
		}
		n++
	}
	if n != lines {
		t.Errorf("%d lines, want %d", n, lines)
	}
}
