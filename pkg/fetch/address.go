package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"code.dny.dev/ssrf"
)

const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
)

// guard decides which addresses may be dialled.
type guard struct {
	allowed []netip.Prefix
	ports   []uint16
	public  *ssrf.Guardian
	// allowedOnly refuses public addresses, too.
	allowedOnly bool
}

func newGuard(cfg Config) *guard {
	return &guard{
		allowed: cfg.AllowPrivate,
		ports:   append([]uint16{80, 443}, cfg.Ports...),
		public:  ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork()),

		allowedOnly: cfg.AllowedOnly,
	}
}

// refusedError says that an address may not be dialled. Users learn no more than
// that: what a name of the network inside stands for is not theirs to know.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

// checkDial checks the address and port that a connection is about to be made to.
func (g *guard) checkDial(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return &refusedError{fmt.Sprintf("%q is no address", address)}
	}
	if !slices.Contains(g.ports, to.Port()) {
		return &refusedError{fmt.Sprintf("port %d", to.Port())}
	}
	return g.check(to.Addr())
}

// check refuses what is neither allowed nor public: the networks of the IANA
// special-purpose registries, and of IPv6 all that is not 2000::/3.
//
//	https://www.iana.org/assignments/iana-ipv4-special-registry/
//	https://www.iana.org/assignments/iana-ipv6-special-registry/
//
// The list is kept up to date with them by its module and compared with our own
// reading in the tests. Addresses that wrap an IPv4 address are judged by it
// (mapped, NAT64) or not used at all (6to4, Teredo, ISATAP, compatible).
func (g *guard) check(addr netip.Addr) error {
	addr = unwrap(addr)
	for _, p := range g.allowed {
		if p.Contains(addr) {
			return nil
		}
	}
	if g.allowedOnly {
		return &refusedError{fmt.Sprintf("%s is not allowed by the operator", addr)}
	}
	if err := g.public.SafeAddr(addr); err != nil {
		return &refusedError{err.Error()}
	}
	if isMetadata(addr) || isISATAP(addr) {
		return &refusedError{fmt.Sprintf("%s leads inside", addr)}
	}
	return nil
}

// unwrap returns the IPv4 address that a mapped address (RFC 4291, 2.5.5.2) or
// one of NAT64's well-known prefix (RFC 6052, 2.1) stands for.
func unwrap(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if ssrf.IPv6NAT64Prefix.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// isMetadata knows the one public address by which a cloud serves its metadata:
// Azure's (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
// Those of the others are not public.
func isMetadata(addr netip.Addr) bool {
	return addr == netip.AddrFrom4([4]byte{168, 63, 129, 16})
}

// isISATAP knows the interface identifiers 0000:5efe and 0200:5efe, which an
// IPv4 address of any kind follows (RFC 5214, 6.1).
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	return b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// parse checks an address by its form; where it leads is checked on dialling.
func (c *Client) parse(address string) (*url.URL, error) {
	const hint = "give an address such as https://example.com/guide.html"
	if len(address) > maxURLBytes {
		return nil, c.invalid(hint, "the address has %d bytes, at most %d are allowed", len(address), maxURLBytes)
	}
	u, err := url.Parse(address)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err // without the address, which may hold a password
		}
		return nil, c.invalid(hint, "malformed address: %v", err)
	}
	switch {
	case u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS:
		return nil, c.invalid(hint, "the scheme %q is not supported, only http and https are", u.Scheme)
	case u.User != nil:
		return nil, c.invalid("leave them out; send such a document as text or data", "user names and passwords in addresses are not supported")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, c.invalid(hint, "the address names no host")
	}
	if err := checkHost(u.Hostname()); err != nil {
		return nil, c.invalid(hint, "%v", err)
	}
	if err := c.checkPort(u.Port()); err != nil {
		return nil, err
	}
	u.Fragment, u.RawFragment = "", "" // never sent
	return u, nil
}

// checkHost refuses the spellings of IP addresses that resolvers disagree about:
// octal, hexadecimal, short and single numbers ("ends in a number" of the WHATWG
// URL standard), and zones, which name interfaces of this machine.
func checkHost(host string) error {
	addr, err := netip.ParseAddr(host)
	switch {
	case err == nil && addr.Zone() != "":
		return fmt.Errorf("the host %q names a network interface", host)
	case err == nil:
		return nil
	case strings.Contains(host, ":"):
		return fmt.Errorf("the host %q is no IPv6 address", host)
	case endsInNumber(host):
		return fmt.Errorf("the host %q is neither a name nor four decimal numbers", host)
	}
	return nil
}

func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndex(host, ".")+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// checkPort refuses a port that the guard would refuse, before any lookup.
func (c *Client) checkPort(port string) error {
	if port == "" {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || !slices.Contains(c.guard.ports, uint16(n)) {
		return c.invalid("use a server on port 80 or 443, or ask the operator to add the port to "+c.cfg.setting("PORTS"),
			"port %s is not allowed", port)
	}
	return nil
}

// shown is an address for messages: without its query, which may hold a
// signature, and cut to a bearable length.
func shown(u *url.URL) string {
	short := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	s := short.String()
	if len(s) > maxShownURLBytes {
		return strings.ToValidUTF8(s[:maxShownURLBytes], "") + "…"
	}
	if u.RawQuery != "" {
		s += "?…"
	}
	return s
}
