package webhook

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

// openTenant is the one that an open API works as: tenant.DefaultTenant, whose package
// would bring more with it than receivers in Go want.
const openTenant = "default"

// keySecret is where the generated secret is in the bucket of the configuration.
const keySecret = "webhook_secret_" + openTenant //nolint:gosec // a name

// HasGenerated reports whether a tenant that has no secret of its own gets a generated
// one: the one that an open API works as.
func HasGenerated(name string) bool { return name == openTenant }

// Generated returns the secret of the tenant that an open API works as. It is made by
// whoever asks first.
func Generated(ctx context.Context, b *bus.Bus) (string, error) {
	kv, err := b.KeyValue(ctx, bus.BucketConfig)
	if err != nil {
		return "", err
	}
	entry, err := kv.Get(ctx, keySecret)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if _, err = kv.Create(ctx, keySecret, []byte(NewSecret())); err != nil && !bus.IsConflict(err) {
			return "", unavailable("storing the webhook secret", err)
		}
		entry, err = kv.Get(ctx, keySecret)
	}
	if err != nil {
		return "", unavailable("reading the webhook secret", err)
	}
	return string(entry.Value()), nil
}
