package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/weir-dev/weir/test/internal/figures"
)

// jobsOfStreams is how many jobs the idle streams follow.
const jobsOfStreams = 100

// openers open streams at once.
const openers = 64

// benchIdle opens n streams of jobs whose time has not come, and measures what
// Weir's process occupies for each.
func benchIdle(ctx context.Context, r *rig, found figures.Figures, n int) error {
	var jobs []string
	for range jobsOfStreams {
		var job struct {
			ID string `json:"id"`
		}
		body := fmt.Appendf(nil, `{"messages":[{"role":"user","content":"later"}],"stream":true,"not_before":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		if err := r.into(ctx, &job, http.MethodPost, "/jobs", "application/json", body); err != nil {
			return err
		}
		jobs = append(jobs, job.ID)
	}
	before, err := r.memory()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	next := make(chan int)
	var open sync.WaitGroup
	for range openers {
		open.Go(func() {
			for i := range next {
				if err := follow(ctx, client, r.weir+"/jobs/"+jobs[i%jobsOfStreams]+"/stream"); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	open.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	after, err := r.memory()
	found["idle_sse_bytes_each"], found["idle_sse_streams"] = (after-before)/float64(n), float64(n)
	return err
}

// follow opens a stream and leaves it open until ctx ends. It returns when the
// stream's first line is there.
func follow(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req) //nolint:bodyclose // closed with ctx
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { resp.Body.Close() }) //nolint:errcheck // the end
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = bufio.NewReaderSize(resp.Body, 64).ReadString('\n')
	return err
}
