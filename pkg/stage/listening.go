package stage

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
)

// listenTimeout is how long an answer may take; with nobody there the server says so
// at once.
const listenTimeout = 500 * time.Millisecond

// Listening reports whether a worker is there that takes the messages of a stage's
// consumer, busy or not. Where that can't be told, it is true.
func Listening(ctx context.Context, nc *nats.Conn, c bus.Consumer) bool {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	_, err := nc.RequestWithContext(ctx, hintSubject(c.Tenant("-").Filter), nil)
	return !errors.Is(err, nats.ErrNoResponders)
}
