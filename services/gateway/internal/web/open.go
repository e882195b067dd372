package web

import (
	"net"
	"net/http"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// guard keeps web pages off an API that asks nobody for a key: a page of anybody's,
// in a browser on this machine, reaches what only this machine does. A page of another
// origin is told by what browsers say of it; one whose own name leads here (DNS
// rebinding) by that name.
func (m *Mux) guard(r *http.Request) *Error {
	if !tenant.IsOpen(m.auth) {
		return nil
	}
	if !isOwnHost(r.Host) {
		return foreign("Host", "use the address or localhost; other names need keys (WEIR_TENANTS)", "without keys the API is for this machine alone, which "+clip(r.Host)+" may not be")
	}
	asked := *r
	asked.Method = http.MethodPost // reads as well: some do something when they end
	if err := http.NewCrossOriginProtection().Check(&asked); err != nil {
		return foreign("Origin", "call it from a program, or use keys (WEIR_TENANTS)", "without keys the API is not for web pages of other origins")
	}
	return nil
}

// isOwnHost reports whether a request's host is an address, or the one name that
// nobody else can give to this machine.
func isOwnHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	return strings.EqualFold(name, "localhost") || net.ParseIP(name) != nil
}

func foreign(field, hint, message string) *Error {
	return &Error{Status: http.StatusForbidden, Code: string(event.ClassForbidden),
		Cause: &event.Error{Class: event.ClassForbidden, Field: field, Message: message, Hint: hint}}
}
