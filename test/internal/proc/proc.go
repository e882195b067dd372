// Package proc runs the built commands as child processes of a test: started
// with a clean environment, watched until they are ready, stopped or killed on
// demand and in any case when the test ends. What they print is shown when the
// test fails.
package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout bounds the wait for a child to be ready, stopTimeout that for
// it to end after a signal.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
)

// Command says what to run.
type Command struct {
	// Name is the binary's (see Main); Label tells two of one binary apart.
	Name, Label string
	Args        []string
	// Env is added to the test's environment, from which every WEIR_ variable
	// is taken out.
	Env map[string]string
}

// Process is a running child.
type Process struct {
	t      testing.TB
	cmd    *exec.Cmd
	spec   Command
	output *output
	ended  chan struct{} // closed when the child is gone
	err    error         // of Wait, valid after ended
}

// Start runs c. The child is killed when the test ends, and shortly before the
// test binary's own time limit, so that none is left behind.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, limited := d.Deadline(); limited {
			ctx, cancel = context.WithDeadline(context.Background(), deadline.Add(-5*time.Second))
		}
	}
	p := &Process{t: t, spec: c, output: &output{first: make(chan string, 1)}, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, Binary(c.Name), c.Args...)
	p.cmd.Env = environment(c.Env)
	p.cmd.Stdout, p.cmd.Stderr = &p.output.stdout, &p.output.stderr
	p.output.stdout.o, p.output.stderr.o = p.output, p.output
	p.output.stdout.lines = true
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("starting %s: %v", c.label(), err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("output of %s (pid %d):\n%s", c.label(), p.cmd.Process.Pid, p.output.tail())
		}
	})
	return p
}

// Restart runs the same command again; the process must have ended.
func (p *Process) Restart() *Process {
	p.t.Helper()
	return Start(p.t, p.spec)
}

// JSON waits for the child's first line of output, a flat JSON object.
func (p *Process) JSON() map[string]string {
	p.t.Helper()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case line := <-p.output.first:
		var fields map[string]string
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			p.t.Fatalf("%s printed %q, want a JSON object: %v", p.spec.label(), line, err)
		}
		return fields
	case <-p.ended:
		p.t.Fatalf("%s ended before it was ready: %v", p.spec.label(), p.err)
	case <-timeout.C:
		p.t.Fatalf("%s printed nothing for %s", p.spec.label(), startTimeout)
	}
	return nil
}

// AwaitStatus waits until a GET of url answers with the status.
func (p *Process) AwaitStatus(url string, status int) {
	p.t.Helper()
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if got, err := Get(url); err == nil && got.Status == status {
			return
		}
		select {
		case <-tick.C:
		case <-p.ended:
			p.t.Fatalf("%s ended before %s answered %d: %v", p.spec.label(), url, status, p.err)
		case <-timeout.C:
			p.t.Fatalf("%s: %s did not answer %d for %s", p.spec.label(), url, status, startTimeout)
		}
	}
}

// Kill ends the child as a crash does, and waits until it is gone.
func (p *Process) Kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// Terminate asks the child to stop; Wait waits for that.
func (p *Process) Terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
}

// Freeze stops the child without ending it: what is sent to it stays unread.
func (p *Process) Freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
}

// Thaw lets a frozen child go on.
func (p *Process) Thaw() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

// Wait waits until the child has ended by itself or after Terminate, with exit
// code 0.
func (p *Process) Wait() {
	p.t.Helper()
	p.wait()
	if p.err != nil {
		p.t.Errorf("%s ended with %v, want exit code 0", p.spec.label(), p.err)
	}
}

// Running reports whether the child lives.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *Process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("signalling %s: %v", p.spec.label(), err)
	}
}

func (p *Process) wait() {
	p.t.Helper()
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-p.ended:
	case <-timeout.C:
		p.t.Fatalf("%s did not end within %s", p.spec.label(), stopTimeout)
	}
}

func (c Command) label() string {
	if c.Label != "" {
		return c.Label
	}
	return c.Name
}

// environment is the test's without its WEIR_ variables, with extra.
func environment(extra map[string]string) []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WEIR_") {
			env = append(env, entry)
		}
	}
	for name, value := range extra {
		env = append(env, name+"="+value)
	}
	return env
}

// Reply is an HTTP answer.
type Reply struct {
	Status int
	Body   string
}

// Get fetches url.
func Get(url string) (Reply, error) {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(url) //nolint:noctx // the client's timeout bounds it
	if err != nil {
		return Reply{}, fmt.Errorf("getting %s: %w", url, err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return Reply{}, fmt.Errorf("reading %s: %w", url, err)
	}
	return Reply{resp.StatusCode, body.String()}, nil
}

// output keeps what a child prints, in the order it comes.
type output struct {
	stdout, stderr pipe
	first          chan string // the first line of stdout

	mu   sync.Mutex
	text bytes.Buffer
	line []byte
	told bool
}

type pipe struct {
	o     *output
	lines bool
}

// Write implements io.Writer.
func (p *pipe) Write(data []byte) (int, error) {
	o := p.o
	o.mu.Lock()
	defer o.mu.Unlock()
	if p.lines && !o.told {
		o.line = append(o.line, data...)
		if line, _, found := bytes.Cut(o.line, []byte("\n")); found {
			o.told = true
			o.first <- string(line)
		}
	}
	return o.text.Write(data)
}

// maxShown bounds what is shown of a child's output, in bytes.
const maxShown = 16 << 10

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.Bytes()
	if len(text) > maxShown {
		return "[...]" + string(text[len(text)-maxShown:])
	}
	return string(text)
}
