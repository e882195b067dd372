package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// rig is a provider and a Weir before it, each in a process of its own.
type rig struct {
	direct, weir string // base URLs up to /v1
	model        map[string]string
	pid          int // of Weir
	http         *http.Client
	stops        []func()
}

func (r *rig) stop() {
	for i := len(r.stops) - 1; i >= 0; i-- {
		r.stops[i]()
	}
}

// start runs both.
func start(ctx context.Context, binary string) (*rig, error) {
	r := &rig{http: &http.Client{Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256}}}
	sim, _, err := r.child(ctx, binary, nil, "dev", "llmsim", "--json", "--addr", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		r.stop()
		return nil, err
	}
	r.stops = append([]func(){func() { os.RemoveAll(dir) }}, r.stops...) //nolint:errcheck // temporary
	up, pid, err := r.child(ctx, binary, []string{"WEIR_SIM_URL=" + sim["addr"], "WEIR_LOG_LEVEL=warn"}, "up", "--json",
		"--nats-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--api-addr", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"))
	if err != nil {
		r.stop()
		return nil, err
	}
	r.pid, r.direct, r.weir = pid, sim["addr"], "http://"+up["api_addr"]+"/v1"
	r.model = map[string]string{r.direct: "sim-small", r.weir: "small"}
	return r, nil
}

// child runs the binary and waits for the JSON line it prints when it is ready.
func (r *rig) child(ctx context.Context, binary string, env []string, args ...string) (told map[string]string, pid int, err error) {
	cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // our own binary
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("starting %s (make build): %w", binary, err)
	}
	r.stops = append(r.stops, func() {
		cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may be gone
		cmd.Wait()                       //nolint:errcheck // as above
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		return nil, 0, fmt.Errorf("%s %s did not start: %w", binary, strings.Join(args, " "), err)
	}
	return told, cmd.Process.Pid, json.Unmarshal(line, &told)
}

// chat asks for one completion; base says of whom.
func (r *rig) chat(ctx context.Context, base, question string) error {
	body := fmt.Appendf(nil, `{"model":%q,"max_tokens":32,"messages":[{"role":"user","content":%q}]}`, r.model[base], question)
	answer, err := r.do(ctx, http.MethodPost, base+"/chat/completions", "application/json", body)
	if err == nil && !bytes.Contains(answer, []byte(`"finish_reason"`)) {
		return fmt.Errorf("no completion: %.200s", answer)
	}
	return err
}

// do makes a request and returns the body of an answer with a status of success.
func (r *rig) do(ctx context.Context, method, url, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.300s", method, url, resp.Status, data)
	}
	return data, err
}

// memory is what Weir's process occupies, in bytes.
func (r *rig) memory() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory (needs Linux): %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS in the status of process %d", r.pid)
}
