// Package stagetest is what the tests of the services share: a NATS server of
// their own, a running service on it, its jobs' results, and a table of the
// settings it refuses.
package stagetest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// Patience bounds every wait; a passing test needs a fraction of it.
const Patience = 30 * time.Second

// Tenant is whose jobs the tests submit.
const Tenant = "acme"

// Service is what every service is to the process that runs it.
type Service interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// Kit is a NATS server of one test, with a client. Any failure of its methods
// ends the test.
type Kit struct {
	T      *testing.T
	Bus    *bus.Bus
	Client *client.Client
	// Lives gets all life events; Life reads from it.
	Lives *nats.Subscription
}

// New returns a kit on a fresh server, stopped when the test ends.
func New(t *testing.T) *Kit {
	t.Helper()
	b, _ := bustest.New(t)
	return On(t, b)
}

// On returns a kit on a server that is there already.
func On(t *testing.T, b *bus.Bus) *Kit {
	t.Helper()
	c, err := client.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	k := &Kit{T: t, Bus: b, Client: c}
	k.Lives = k.Subscribe("weir.events.>")
	return k
}

// Subscribe returns a subscription that holds messages from now on: see Next.
func (k *Kit) Subscribe(subject string) *nats.Subscription {
	k.T.Helper()
	sub, err := k.Bus.Conn().SubscribeSync(subject)
	if err != nil {
		k.T.Fatal(err)
	}
	return sub
}

// Start waits until s is ready and runs it until the test ends or stop is
// called, which waits for its end. An error at the end fails the test.
func (k *Kit) Start(s Service) (stop func()) {
	k.T.Helper()
	ctx, cancel := context.WithCancel(k.T.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			k.T.Errorf("the service ended with: %v", err)
		}
	})
	k.T.Cleanup(stop)
	Wait(k.T, s.Ready(), "a ready service")
	return stop
}

// Publish sends value in JSON with the dedupe id.
func (k *Kit) Publish(subject, id string, value any) {
	k.T.Helper()
	out, err := stage.JSONOut(subject, id, value)
	if err == nil {
		err = k.Bus.Publish(k.T.Context(), out)
	}
	if err != nil {
		k.T.Fatal(err)
	}
}

// Result waits for the end of a job.
func (k *Kit) Result(job string) event.Result {
	k.T.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(k.T.Context()), Patience)
	defer cancel()
	result, err := k.Client.Await(ctx, Tenant, job)
	if err != nil {
		k.T.Fatal(err)
	}
	return result
}

// OK is Result for a job that must succeed and hold what its kind produces.
func (k *Kit) OK(kind event.Kind, job string) event.Result {
	k.T.Helper()
	result := k.Result(job)
	if result.Status != event.StatusOK || result.Kind != kind ||
		kind == event.KindGenerate && result.Answer == nil || kind == event.KindIngest && result.Ingested == nil {
		k.T.Fatalf("result %+v (error %v), want an ok %s", result, result.Error, kind)
	}
	return result
}

// Failure is the error of a job that must fail.
func (k *Kit) Failure(kind event.Kind, job string) *event.Error {
	k.T.Helper()
	result := k.Result(job)
	if result.Status != event.StatusFailed || result.Kind != kind || result.Error == nil {
		k.T.Fatalf("result %+v (error %v), want a failed %s", result, result.Error, kind)
	}
	return result.Error
}

// Life is the next life event of a type; those before it are skipped.
func (k *Kit) Life(kind string) event.Life {
	k.T.Helper()
	for {
		if life, _ := Next(k, k.Lives, event.Decode[event.Life]); life.Type == kind {
			return life
		}
	}
}

// Next is the next message of sub: decoded, with its claim-check resolved, and
// as it was sent.
func Next[T any](k *Kit, sub *nats.Subscription, decode func([]byte) (T, error)) (T, *nats.Msg) {
	k.T.Helper()
	raw, err := sub.NextMsg(Patience)
	if err != nil {
		k.T.Fatalf("waiting for a message on %s: %v", sub.Subject, err)
	}
	msg := &bus.Message{Subject: raw.Subject, Header: raw.Header, Data: raw.Data}
	if err := k.Bus.Resolve(k.T.Context(), msg); err != nil {
		k.T.Fatal(err)
	}
	value, err := decode(msg.Data)
	if err != nil {
		k.T.Fatal(err)
	}
	return value, raw
}

// Wait is the next value of c, or the zero value once it is closed.
func Wait[T any](t *testing.T, c <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-c:
	case <-time.After(Patience):
		t.Fatalf("waited in vain for %s", what)
	}
	return got
}

// ErrorHas checks that err is one whose message holds all parts.
func ErrorHas(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one with %q", err, parts)
			return
		}
	}
}

// WrongConfigs are changes that make a valid configuration invalid. Each key
// is what its error must name: the environment variable and the value.
type WrongConfigs[C any] map[[2]string]func(*C)

// Check changes a fresh valid configuration in each way and checks the error of
// validate, which must find nothing wrong with it unchanged.
func (w WrongConfigs[C]) Check(t *testing.T, valid func() C, validate func(C) error) {
	t.Helper()
	if err := validate(valid()); err != nil {
		t.Errorf("the unchanged configuration: %v", err)
	}
	for names, change := range w {
		cfg := valid()
		change(&cfg)
		ErrorHas(t, validate(cfg), names[:]...)
	}
}
