package llmsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// webhookTries and webhookPause bound the delivery of one event; the pause
	// doubles.
	webhookTries   = 3
	webhookPause   = time.Second
	webhookTimeout = 10 * time.Second
)

// job is work that outlives its request. It ends early when ctx does.
type job func(ctx context.Context)

// Work runs batches and background responses until ctx ends. Run does it too;
// a server that is only used as a handler needs it for these two.
func (s *Server) Work(ctx context.Context) {
	var workers sync.WaitGroup
	for range s.cfg.Answers.withDefaults().JobWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case next := <-s.jobs:
					next(ctx)
				}
			}
		})
	}
	workers.Wait()
}

// enqueue hands a job to the workers, or says that too many wait.
func (s *Server) enqueue(next job) error {
	select {
	case s.jobs <- next:
		return nil
	default:
		return &apiError{status: http.StatusTooManyRequests, Type: "requests", Code: "rate_limit_exceeded",
			Message: fmt.Sprintf("%d batches and background responses wait, which is the most; try again later.", cap(s.jobs))}
	}
}

// offlineKey marks the context of requests that the server makes of itself,
// which no limit counts: batches have a quota of their own.
type offlineKey struct{}

// isOffline reports whether a request is a line of a batch.
func isOffline(ctx context.Context) bool { return ctx.Value(offlineKey{}) != nil }

// answerBuffer is an http.ResponseWriter in memory.
type answerBuffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (b *answerBuffer) Header() http.Header { return b.header }

// WriteHeader implements http.ResponseWriter.
func (b *answerBuffer) WriteHeader(status int) { b.status = status }

// Write implements http.ResponseWriter.
func (b *answerBuffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// offline answers one request of a batch with the server's own handlers.
func (s *Server) offline(ctx context.Context, path string, header http.Header, body []byte) (*answerBuffer, error) {
	ctx = context.WithValue(ctx, offlineKey{}, true)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header.Clone()
	out := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	s.ServeHTTP(out, r)
	return out, ctx.Err()
}

// notify sends an event to the webhook, if there is one, at most webhookTries
// times: https://www.standardwebhooks.com.
func (s *Server) notify(ctx context.Context, kind, id string) {
	hook := s.cfg.Answers.Webhook
	if hook.URL == "" {
		return
	}
	now := s.cfg.Now()
	event := s.events.id()
	body, err := json.Marshal(map[string]any{"id": event, "object": "event", "type": kind, "created_at": now.Unix(), "data": map[string]string{"id": id}})
	if err != nil {
		return // a map of texts always encodes
	}
	for try, pause := 0, webhookPause; try < webhookTries; try, pause = try+1, 2*pause {
		if try > 0 && wait(ctx, pause) != nil || s.deliver(ctx, hook, event, body) == nil {
			return
		}
	}
}

// deliver posts a signed event once.
func (s *Server) deliver(ctx context.Context, hook Webhook, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	key, err := hook.key()
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	at := strconv.FormatInt(s.cfg.Now().Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", at)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // nothing is read from it
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("webhook answered %s", answer.Status)
	}
	return nil
}
