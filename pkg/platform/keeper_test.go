package platform_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

// TestKeeper: after a restart of NATS the pieces of answers have a stream again.
func TestKeeper(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	k := platform.NewKeeper(platform.Platform{Logger: slog.New(slog.DiscardHandler), NATS: server.Connect()}, bus.DefaultLimits())
	go func() { ended <- k.Run(ctx) }()
	<-k.Ready()
	server.Restart()
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := b.Publish(t.Context(), bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: []byte("{}")})
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
