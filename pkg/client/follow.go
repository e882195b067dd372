package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Follower is told what happens to a job while it runs. Its functions are
// called from one goroutine; a nil one is not called.
type Follower struct {
	// Life is called with each event in the life of the job.
	Life func(event.Life)
	// Delta is called with each piece of the answer as it arrives; joined, the
	// pieces are the answer. Restart is called when an attempt broke off: the
	// pieces so far are void and the answer starts over.
	Delta   func(text string)
	Restart func()
}

// Follow reports the life and the answer of a job from their beginning, and
// returns the result when there is one.
func (c *Client) Follow(ctx context.Context, tenant, job string, f Follower) (event.Result, error) {
	if err := checkJob(tenant, job); err != nil {
		return event.Result{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	messages, stored := make(chan jetstream.Msg), 0
	for _, view := range []struct{ stream, subject string }{
		{bus.StreamEvents, event.LifeSubject(tenant, job)},
		{bus.StreamTokens, event.TokenSubject(tenant, job)},
	} {
		end, n, err := c.view(ctx, view.stream, view.subject, messages)
		if err != nil {
			return event.Result{}, err
		}
		defer end()
		stored += n
	}
	type ending struct {
		result event.Result
		err    error
	}
	ended := make(chan ending, 1)
	go func() {
		result, err := c.Await(ctx, tenant, job)
		ended <- ending{result, err}
	}()
	dispatch := dispatcher{f: f}
	// A finished job's story first, then its end.
	story, cancelStory := context.WithTimeout(ctx, storyTimeout)
	defer cancelStory()
	for ; stored > 0 && story.Err() == nil; stored-- {
		select {
		case msg := <-messages:
			dispatch.message(msg)
		case <-story.Done():
		}
	}
	for {
		select {
		case msg := <-messages:
			dispatch.message(msg)
		case end := <-ended:
			dispatch.finish(end.result.Answer)
			return end.result, end.err
		}
	}
}

// storyTimeout bounds the wait for what is stored of a job's life.
const storyTimeout = 5 * time.Second

// view sends a subject's messages, from the first stored one on, to out. It
// returns how many are stored already.
func (c *Client) view(ctx context.Context, stream, subject string, out chan<- jetstream.Msg) (end func(), stored int, err error) {
	consumer, err := c.bus.JetStream().OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if err != nil {
		return nil, 0, event.Errorf(event.ClassUnavailable, "following %s: %w", subject, err)
	}
	if info, err := consumer.Info(ctx); err == nil {
		stored = int(info.NumPending) + int(info.Delivered.Consumer) //nolint:gosec // message counts
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		select {
		case out <- msg:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return nil, 0, fmt.Errorf("following %s: %w", subject, err)
	}
	return consuming.Stop, stored, nil
}

// dispatcher sorts the messages of a job's views.
type dispatcher struct {
	f     Follower
	epoch int64
	shown strings.Builder // what Delta was given since the last Restart
}

func (d *dispatcher) message(msg jetstream.Msg) {
	if strings.HasPrefix(msg.Subject(), "weir.tokens.") {
		if token, err := event.Decode[event.Token](msg.Data()); err == nil {
			d.token(token)
		}
		return
	}
	if life, err := event.Decode[event.Life](msg.Data()); err == nil && d.f.Life != nil {
		d.f.Life(life)
	}
}

func (d *dispatcher) token(t event.Token) {
	if t.Epoch < d.epoch {
		return // of an attempt that broke off
	}
	if t.Epoch > d.epoch {
		d.restart()
		d.epoch = t.Epoch
	}
	d.delta(t.Text)
}

// finish completes what was shown from the result, which may be there before
// the last pieces are.
func (d *dispatcher) finish(answer *event.Answer) {
	if answer == nil {
		return
	}
	rest, ok := strings.CutPrefix(answer.Text, d.shown.String())
	if !ok {
		d.restart()
		rest = answer.Text
	}
	d.delta(rest)
}

func (d *dispatcher) delta(text string) {
	if text == "" || d.f.Delta == nil {
		return
	}
	d.shown.WriteString(text)
	d.f.Delta(text)
}

func (d *dispatcher) restart() {
	if d.shown.Len() > 0 && d.f.Restart != nil {
		d.f.Restart()
	}
	d.shown.Reset()
}

// Lives calls fn with the events in the lives of all of a tenant's jobs, from now
// on until the returned function is called.
func (c *Client) Lives(tenant string, fn func(event.Life)) (stop func(), err error) {
	if err := event.CheckName("tenant", tenant); err != nil {
		return nil, err
	}
	sub, err := c.bus.Conn().Subscribe(event.LifeSubject(tenant, "*"), func(msg *nats.Msg) {
		if life, err := event.Decode[event.Life](msg.Data); err == nil {
			fn(life)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to events: %w", err)
	}
	return func() { sub.Unsubscribe() }, nil //nolint:errcheck // the connection may be gone
}
