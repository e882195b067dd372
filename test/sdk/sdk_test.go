// Package sdk has the clients that people use work against a running Weir by nothing
// but another base URL: OpenAI's own for Python and Node, and go-openai.
package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

// patience bounds a whole script, installation included.
const patience = 3 * time.Minute

// command runs a program in a folder and returns what it printed.
func command(t *testing.T, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// missing ends a test whose client can't be installed: it is skipped, saying so, and
// fails where CI=true.
func missing(t *testing.T, what, out string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v\n%s", what, err, out)
	}
	t.Skipf("SKIPPED, NOT TESTED: %s: %v\n%s", what, err, out)
}

// secured is a Weir that asks for keys, and one of them.
func secured(t *testing.T) (base, key string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), proc.Binary("weir"), "tenant", "add", "acme", "--json", "--data-dir", dir).Output()
	if err != nil {
		t.Fatalf("adding a tenant: %v\n%s", err, out)
	}
	var made struct{ Key string }
	if err := json.Unmarshal(out, &made); err != nil || made.Key == "" {
		t.Fatalf("adding a tenant: %v in %s", err, out)
	}
	return system.Start(t, system.Options{Mode: system.AllInOne, Dir: dir}).APIURL + "/v1", made.Key
}

// copied puts files of a folder into another one.
func copied(t *testing.T, from, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantChecks runs a script, which must name every check that it made.
func wantChecks(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	base, key := secured(t)
	out, err := command(t, dir, []string{"OPENAI_API_KEY=" + key}, program, append(args, base)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, check := range []string{"chat", "stream", "tools", "structured", "embeddings", "models", "batch", "errors", "unauthorized"} {
		if !strings.Contains(out, "ok "+check+"\n") {
			t.Errorf("no check %s in\n%s", check, out)
		}
	}
}

// TestPython: the package openai of PyPI.
func TestPython(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := command(t, dir, nil, "python3", "-m", "venv", "venv"); err != nil {
		missing(t, "making a Python environment", out, err)
	}
	python := filepath.Join(dir, "venv", "bin", "python")
	copied(t, "python", dir, "requirements.txt", "check.py")
	if out, err := command(t, dir, nil, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"); err != nil {
		missing(t, "installing the package openai of PyPI", out, err)
	}
	wantChecks(t, dir, python, "check.py")
}

// TestNode: the package openai of npm.
func TestNode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	copied(t, "node", dir, "package.json", "package-lock.json", "check.mjs")
	if out, err := command(t, dir, nil, "node", "--version"); err != nil {
		missing(t, "running node", out, err)
	}
	if out, err := command(t, dir, nil, "npm", "ci", "--silent", "--no-audit", "--no-fund"); err != nil {
		missing(t, "installing the package openai of npm", out, err)
	}
	wantChecks(t, dir, "node", "check.mjs")
}

// TestGoOpenAI: go-openai, against a Weir that asks for no keys.
func TestGoOpenAI(t *testing.T) {
	t.Parallel()
	cfg := openai.DefaultConfig("any")
	cfg.BaseURL = system.Start(t, system.Options{Mode: system.AllInOne}).APIURL + "/v1"
	c := openai.NewClientWithConfig(cfg)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request := openai.ChatCompletionRequest{Model: "small", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "What is a stage?"}}}
	done, err := c.CreateChatCompletion(ctx, request)
	if err != nil || len(done.Choices) != 1 || done.Choices[0].Message.Content == "" || done.Usage.TotalTokens == 0 {
		t.Errorf("chat: %+v, %v", done, err)
	}
	wantStream(ctx, t, c, request)
	vectors, err := c.CreateEmbeddings(ctx, openai.EmbeddingRequestStrings{Model: "embed", Input: []string{"a", "b"}})
	if err != nil || len(vectors.Data) != 2 || len(vectors.Data[0].Embedding) == 0 {
		t.Errorf("embeddings: %d, %v", len(vectors.Data), err)
	}
	if models, err := c.ListModels(ctx); err != nil || len(models.Models) == 0 {
		t.Errorf("models: %+v, %v", models, err)
	}
	var refused *openai.APIError
	request.Model = "none"
	if _, err := c.CreateChatCompletion(ctx, request); !errors.As(err, &refused) || refused.HTTPStatusCode != http.StatusNotFound || refused.Code != "model_not_found" {
		t.Errorf("an unknown model: %v", err)
	}
	wantBatch(ctx, t, c)
}

func wantStream(ctx context.Context, t *testing.T, c *openai.Client, request openai.ChatCompletionRequest) {
	t.Helper()
	stream, err := c.CreateChatCompletionStream(ctx, request)
	if err != nil {
		t.Errorf("stream: %v", err)
		return
	}
	defer stream.Close() //nolint:errcheck // read only
	text := ""
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("stream: %v", err)
			return
		}
		if len(chunk.Choices) > 0 {
			text += chunk.Choices[0].Delta.Content
		}
	}
	if text == "" {
		t.Error("stream: no text")
	}
}

func wantBatch(ctx context.Context, t *testing.T, c *openai.Client) {
	t.Helper()
	upload := openai.UploadBatchFileRequest{FileName: "in.jsonl"}
	for _, id := range []string{"a", "b", "c"} {
		upload.AddChatCompletion(id, openai.ChatCompletionRequest{Model: "small", Messages: []openai.ChatCompletionMessage{{Role: "user", Content: id}}})
	}
	created, err := c.CreateBatchWithUploadFile(ctx, openai.CreateBatchWithUploadFileRequest{
		Endpoint: openai.BatchEndpointChatCompletions, CompletionWindow: "24h", UploadBatchFileRequest: upload})
	if err != nil {
		t.Errorf("batch: %v", err)
		return
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	run := created
	for run.Status != "completed" && run.Status != "failed" {
		<-tick.C
		if run, err = c.RetrieveBatch(ctx, created.ID); err != nil {
			t.Errorf("batch: %v", err)
			return
		}
	}
	if run.Status != "completed" || run.RequestCounts.Completed != 3 || run.OutputFileID == nil {
		t.Errorf("batch: %+v", run)
		return
	}
	content, err := c.GetFileContent(ctx, *run.OutputFileID)
	if err != nil {
		t.Errorf("output: %v", err)
		return
	}
	defer content.Close() //nolint:errcheck // read only
	if data, err := io.ReadAll(content); err != nil || strings.Count(string(data), "\n") != 3 || strings.Index(string(data), `"a"`) > strings.Index(string(data), `"c"`) {
		t.Errorf("output: %s, %v", data, err)
	}
}
