package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
)

type batchCmd struct {
	Run    batchRunCmd    `cmd:"" help:"Run a file of requests and write what came of them."`
	Cancel batchCancelCmd `cmd:"" help:"Ask a batch to stop; it ends with what is done."`
}

type batchRunCmd struct {
	In       string        `arg:"" help:"File of requests, a JSON object a line, as for OpenAI's batches."`
	Out      string        `short:"o" required:"" placeholder:"FILE" help:"Where the answers go, in the order of the requests."`
	Errors   string        `placeholder:"FILE" help:"Where requests that failed go (default: the output's name with .errors before its ending)."`
	Endpoint string        `help:"/v1/chat/completions, /v1/embeddings or /v1/jobs (default: the url of the first line)."`
	Window   time.Duration `default:"24h" help:"What is not done by then is given up."`
	Webhook  string        `placeholder:"URL" help:"Told of the end: an https URL, or the name of one of the tenant's endpoints."`
	Again    bool          `help:"Run it anew, though the same file has been run before."`
	Timeout  time.Duration `default:"0" help:"How long to wait (0: to the end); the batch goes on."`
}

// Run uploads the file, submits the batch and follows it to its end. The batch is named
// after the file's content, so the same command goes on with it after it was stopped.
func (c *batchRunCmd) Run(e *env) error {
	in, err := os.Open(c.In)
	if err != nil {
		return coded(exitUsage, "%w", err)
	}
	defer in.Close() //nolint:errcheck // read only
	job, err := c.job(e, in)
	if err != nil {
		return err
	}
	return e.withClient(func(cl *client.Client) error {
		if err := c.submit(e, cl, in, &job); err != nil {
			return err
		}
		ctx, cancel := e.withTimeout(c.Timeout)
		defer cancel()
		bar := newBatchBar(e, job.ID)
		result, err := cl.Follow(ctx, e.Tenant, job.ID, client.Follower{Life: bar.life})
		bar.end()
		if err != nil {
			return batchWaitError(err, job.ID)
		}
		return c.finish(e, cl, result)
	})
}

// job is the batch of a file.
func (c *batchRunCmd) job(e *env, in io.ReadSeeker) (event.BatchJob, error) {
	var job event.BatchJob
	sum := sha256.New()
	first := bufio.NewReader(io.TeeReader(in, sum))
	line, err := first.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return job, fmt.Errorf("reading %s: %w", c.In, err)
	}
	if _, err := io.Copy(io.Discard, first); err != nil {
		return job, fmt.Errorf("reading %s: %w", c.In, err)
	}
	var request struct{ URL string }
	json.Unmarshal(bytes.TrimSpace(line), &request) //nolint:errcheck // it is checked with the others
	job.Endpoint = cmp.Or(c.Endpoint, request.URL)
	if job.Endpoint == "" {
		return job, coded(exitUsage, "%s: the first line has no url; see docs/batches.md, or set --endpoint", c.In)
	}
	fmt.Fprintf(sum, "\x00%s\x00%s", e.Tenant, job.Endpoint)
	job.ID = fmt.Sprintf("batch_%x", sum.Sum(nil)[:16])
	now := time.Now().UTC()
	if c.Again {
		job.ID = "batch_" + event.NewID(now)
	}
	if c.Window > 0 {
		job.Deadline = now.Add(c.Window)
	}
	job.Webhook = c.Webhook
	_, err = in.Seek(0, io.SeekStart)
	return job, err
}

// submit uploads the file and submits the batch, unless that has been done before.
func (c *batchRunCmd) submit(e *env, cl *client.Client, in io.Reader, job *event.BatchJob) error {
	job.InputFile = file.BatchID(e.Tenant, job.ID, "input")
	_, err := cl.File(e.ctx, e.Tenant, job.InputFile)
	if errors.Is(err, file.ErrNotFound) {
		_, err = cl.Upload(e.ctx, e.Tenant, file.Info{ID: job.InputFile, Name: filepath.Base(c.In), Purpose: "batch"}, in)
	} else if err == nil && !e.JSON {
		fmt.Fprintf(e.err, "batch %s was submitted before; --again runs it anew\n", job.ID)
	}
	if err != nil {
		return err
	}
	_, err = cl.Batch(e.ctx, e.Tenant, *job)
	return err
}

// finish writes the files and says how the batch ended.
func (c *batchRunCmd) finish(e *env, cl *client.Client, r event.Result) error {
	if r.Status != event.StatusOK || r.Batch == nil {
		if r.Error != nil && !e.JSON {
			for _, v := range r.Error.Violations {
				fmt.Fprintf(e.err, "%s: line %s: %s\n", c.In, strings.TrimPrefix(v.Path, "/"), v.Message)
			}
		}
		if e.JSON {
			return errors.Join(e.printJSON(r), jobError(r))
		}
		return jobError(r)
	}
	b := r.Batch
	for _, f := range []struct{ id, to string }{{b.OutputFile, c.Out}, {b.ErrorFile, c.errorFile()}} {
		if err := save(e, cl, f.id, f.to); err != nil {
			return err
		}
	}
	if e.JSON {
		if err := e.printJSON(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(e.out, "%s: %d answered in %s, %d failed; %d tokens in, %d out; $%s\n", plural(b.Total, "line"), b.Completed, c.Out, b.Failed,
			r.Receipt.PromptTokens, r.Receipt.CompletionTokens, usd(b.CostNanoUSD))
	}
	switch left := b.Total - b.Completed - b.Failed; {
	case b.Canceled:
		return coded(exitJobFailed, "the batch was canceled; %d lines were not done, see %s", left, c.errorFile())
	case b.Expired:
		return coded(exitJobFailed, "the time was over; %d lines were not done, see %s", left, c.errorFile())
	case b.Failed > 0:
		return coded(exitJobFailed, "%s failed, see %s", plural(b.Failed, "line"), c.errorFile())
	}
	return nil
}

func (c *batchRunCmd) errorFile() string {
	if c.Errors != "" {
		return c.Errors
	}
	ext := filepath.Ext(c.Out)
	return strings.TrimSuffix(c.Out, ext) + ".errors" + ext
}

// save writes a file of the batch as a whole or not at all; without one there is none.
func save(e *env, cl *client.Client, id, to string) error {
	if id == "" {
		if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("removing what an earlier run left: %w", err)
		}
		return nil
	}
	content, _, err := cl.Download(e.ctx, e.Tenant, id)
	if err != nil {
		return err
	}
	defer content.Close() //nolint:errcheck // read only
	part, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".part-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", to, err)
	}
	_, err = io.Copy(part, content)
	err = errors.Join(err, part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), to)
	}
	if err != nil {
		os.Remove(part.Name()) //nolint:errcheck // the error is told
		return fmt.Errorf("writing %s: %w", to, err)
	}
	return nil
}

// batchWaitError says what a wait that ended before the batch means.
func batchWaitError(err error, id string) error {
	const goesOn = "batch %s goes on: the same command waits for its end, `weir batch cancel %s` stops it"
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitTimeout, "timed out; "+goesOn, id, id)
	case errors.Is(err, context.Canceled):
		return coded(exitError, "interrupted; "+goesOn, id, id)
	}
	return err
}

// batchBar shows how far a batch is: in one line on a terminal, else now and then in
// a line of its own.
type batchBar struct {
	e     *env
	id    string
	live  bool
	start time.Time
	first int // lines that were done when it began
	drawn time.Time
	last  event.Progress
}

// drawBatchEvery is how often it is drawn where lines stay.
const drawBatchEvery = 5 * time.Second

func newBatchBar(e *env, id string) *batchBar {
	f, ok := e.err.(*os.File)
	return &batchBar{e: e, id: id, first: -1, live: ok && term.IsTerminal(int(f.Fd()))} //nolint:gosec // a file descriptor fits
}

func (b *batchBar) life(l event.Life) {
	if l.Progress == nil || b.e.JSON {
		return
	}
	b.last = *l.Progress
	if b.first < 0 {
		b.first, b.start = l.Progress.Done, l.At
	}
	every := drawBatchEvery
	if b.live {
		every = drawEvery
	}
	if now := time.Now(); now.Sub(b.drawn) >= every {
		b.drawn = now
		b.draw(l.At)
	}
}

func (b *batchBar) draw(at time.Time) {
	line := fmt.Sprintf("%s: %d/%d lines, %d failed", b.id, b.last.Done, b.last.Total, b.last.Failed)
	if elapsed := at.Sub(b.start); elapsed > 0 && b.last.Done > b.first {
		rate := float64(b.last.Done-b.first) / elapsed.Seconds()
		left := time.Duration(float64(b.last.Total-b.last.Done) / rate * float64(time.Second))
		line += fmt.Sprintf(", %.0f/s, ETA %s", rate, left.Round(time.Second))
	}
	if b.live {
		fmt.Fprint(b.e.err, "\r\x1b[K"+line)
		return
	}
	fmt.Fprintln(b.e.err, line)
}

func (b *batchBar) end() {
	if b.live && !b.drawn.IsZero() {
		fmt.Fprintln(b.e.err)
	}
}

type batchCancelCmd struct {
	Batch string `arg:"" help:"Batch id."`
}

// Run asks a batch to stop.
func (c *batchCancelCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		err := cl.CancelBatch(e.ctx, e.Tenant, c.Batch)
		switch {
		case errors.Is(err, client.ErrNoJob):
			return coded(exitNoResult, "no batch %s has been taken up", c.Batch)
		case errors.Is(err, client.ErrFinished):
			return coded(exitError, "batch %s has ended already", c.Batch)
		case err != nil:
			return err
		}
		fmt.Fprintf(e.out, "batch %s stops; its files are there when it has: weir result %s --wait\n", c.Batch, c.Batch)
		return nil
	})
}
