// Package web is how the gateway speaks HTTP: who may call what, bodies of bounded
// size and depth, and errors in one of two shapes, RFC 9457 or OpenAI's.
package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// Request is a request of a caller that was let in.
type Request struct {
	*http.Request
	tenant.Principal

	mux  *Mux
	held int64 // bytes of its body in memory
}

// Handler answers a request; an error that it returns before it wrote anything is
// told in the shape of the mux.
type Handler func(w http.ResponseWriter, r *Request) error

// Shape writes an error as a response.
type Shape func(w http.ResponseWriter, r *http.Request, e *Error)

// Mux routes requests to handlers, for those who may. Every path belongs to one
// shape of errors.
type Mux struct {
	*http.ServeMux
	auth   tenant.Authenticator
	shapes map[string]Shape // by pattern
	bodies atomic.Int64     // bytes of bodies that requests in work hold
}

// NewMux returns a mux without routes.
func NewMux(auth tenant.Authenticator) *Mux {
	return &Mux{ServeMux: http.NewServeMux(), auth: auth, shapes: map[string]Shape{}}
}

// HeaderTenant names the tenant that a caller works as, if it may be more than one.
const HeaderTenant = "Weir-Tenant"

// Route adds a handler for a pattern of http.ServeMux and callers with a scope.
func (m *Mux) Route(pattern string, scope catalog.Scope, shape Shape, h Handler) {
	m.shapes[pattern] = shape
	m.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		p, err := m.auth.Authenticate(r.Context(), bearer(r), r.Header.Get(HeaderTenant))
		if err == nil && !p.May(scope) {
			err = &event.Error{Class: event.ClassForbidden, Message: "the key may not do this", Hint: "use a key with the scope " + string(scope)}
		}
		if err == nil {
			req := &Request{Request: r, Principal: p, mux: m}
			defer req.Release()
			err = h(w, req)
		}
		if err != nil {
			shape(w, r, From(err))
		}
	})
}

// Routes lists the patterns that were routed.
func (m *Mux) Routes() []string { return slices.Sorted(maps.Keys(m.shapes)) }

// bearer is the credential of a request, in any of the headers that clients use.
func bearer(r *http.Request) string {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimLeft(token, " ")
	}
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	return r.Header.Get("Api-Key")
}
