package e2e

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
)

// follower writes what a reader of the answer would see.
func follower(shown *strings.Builder) client.Follower {
	return client.Follower{
		Delta:   func(text string) { shown.WriteString(text) },
		Restart: shown.Reset,
	}
}

// settled waits until no job is left on an intake subject. There is no notice
// of an ack, so it asks again and again.
func (b *bundle) settled(subject string) {
	b.t.Helper()
	stream, err := b.js.Stream(b.ctx, bus.StreamJobs)
	if err != nil {
		b.t.Fatalf("opening stream: %v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := stream.Info(b.ctx, jetstream.WithSubjectFilter(subject))
		if err != nil {
			b.t.Fatalf("reading stream: %v", err)
		}
		if len(info.State.Subjects) == 0 {
			return
		}
		<-tick.C
	}
}
