package intake

import (
	"container/list"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// maxRates bounds the tenants whose rate is known; that of the one that was idle the
// longest is forgotten.
const maxRates = 10_000

// rates bounds how fast tenants submit, each gateway for itself.
type rates struct {
	mu    sync.Mutex
	of    map[string]*list.Element
	order *list.List // of *tenantRate, the last one used first
}

type tenantRate struct {
	tenant  string
	agreed  catalog.Rate
	limiter *rate.Limiter
}

func newRates() *rates { return &rates{of: map[string]*list.Element{}, order: list.New()} }

// take counts a job of a tenant, or returns how long it must wait.
func (r *rates) take(tenant string, agreed catalog.Rate, now time.Time) time.Duration {
	if agreed.PerSecond <= 0 {
		return 0
	}
	limiter := r.limiter(tenant, agreed)
	reserved := limiter.ReserveN(now, 1)
	wait := reserved.DelayFrom(now)
	if wait > 0 {
		reserved.CancelAt(now)
	}
	return wait
}

func (r *rates) limiter(tenant string, agreed catalog.Rate) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.of[tenant]; known != nil {
		r.order.MoveToFront(known)
		t, _ := known.Value.(*tenantRate)
		if t.agreed != agreed {
			t.agreed, t.limiter = agreed, newLimiter(agreed)
		}
		return t.limiter
	}
	if r.order.Len() >= maxRates {
		oldest := r.order.Back()
		t, _ := r.order.Remove(oldest).(*tenantRate)
		delete(r.of, t.tenant)
	}
	t := &tenantRate{tenant: tenant, agreed: agreed, limiter: newLimiter(agreed)}
	r.of[tenant] = r.order.PushFront(t)
	return t.limiter
}

func newLimiter(agreed catalog.Rate) *rate.Limiter {
	burst := agreed.Burst
	if burst < 1 {
		burst = max(1, int(math.Ceil(agreed.PerSecond)))
	}
	return rate.NewLimiter(rate.Limit(agreed.PerSecond), burst)
}

func tooFast(wait time.Duration) *web.Error {
	return &web.Error{Status: http.StatusTooManyRequests, Code: "rate_limited", RetryAfter: wait, Cause: &event.Error{
		Class: event.ClassThrottled, Message: "the tenant submits more jobs a second than agreed", Hint: "send it again after the time in Retry-After", RetryAfter: wait}}
}
