package tenant

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// troubleKey finds, in a context, where a keySet says that it could not tell; the
// library gives no more than a text.
type troubleKey struct{}

// keySet are the provider's keys, which are asked for again when a token is signed
// with none of them, but seldom.
type keySet struct {
	remote oidc.KeySet
	asked  *seldom
}

var _ oidc.KeySet = (*keySet)(nil)

// newKeySet returns the keys at an address. It does no I/O. ctx is that of all
// questions for them.
func newKeySet(ctx context.Context, client *http.Client, now func() time.Time, url string) *keySet {
	s := &seldom{next: client.Transport, now: now}
	limited := &http.Client{Transport: s, Timeout: client.Timeout}
	return &keySet{remote: oidc.NewRemoteKeySet(oidc.ClientContext(ctx, limited), url), asked: s}
}

// VerifySignature implements oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	data, err := k.remote.VerifySignature(ctx, token)
	if trouble, ok := ctx.Value(troubleKey{}).(*error); ok && err != nil {
		*trouble = errors.Join(k.asked.trouble(), context.Cause(ctx))
	}
	return data, err
}

// seldom lets a request through when the one before was askEvery ago.
type seldom struct {
	next http.RoundTripper
	now  func() time.Time

	mu  sync.Mutex
	at  time.Time // of the one before
	err error     // why it failed
}

var errTooOften = errors.New("the keys were asked for a moment ago")

// RoundTrip implements http.RoundTripper.
func (s *seldom) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := s.take(); err != nil {
		return nil, err
	}
	resp, err := s.next.RoundTrip(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err == nil && resp.StatusCode != http.StatusOK {
		s.err = fmt.Errorf("asking for the keys: %s", resp.Status)
	}
	return resp, err
}

func (s *seldom) take() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.at.IsZero() || now.Sub(s.at) >= askEvery {
		s.at = now
		return nil
	}
	return errTooOften
}

// trouble is why the last request failed, nil if it did not.
func (s *seldom) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
