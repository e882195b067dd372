package fetch

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// special is our own reading of the registries that guard.check cites, against
// which the list of the module it uses is checked.
var special = []struct{ name, prefix string }{
	{"this network, RFC 791", "0.0.0.0/8"},
	{"private use, RFC 1918", "10.0.0.0/8"},
	{"shared address space (CGNAT), RFC 6598; Alibaba's metadata", "100.64.0.0/10"},
	{"loopback, RFC 1122", "127.0.0.0/8"},
	{"link local, RFC 3927; metadata of most clouds", "169.254.0.0/16"},
	{"private use, RFC 1918", "172.16.0.0/12"},
	{"IETF protocol assignments, RFC 6890; Oracle's metadata", "192.0.0.0/24"},
	{"documentation 1, RFC 5737", "192.0.2.0/24"},
	{"AS112, RFC 7535", "192.31.196.0/24"},
	{"AMT, RFC 7450", "192.52.193.0/24"},
	{"6to4 relays, RFC 7526", "192.88.99.0/24"},
	{"private use, RFC 1918", "192.168.0.0/16"},
	{"AS112, RFC 7534", "192.175.48.0/24"},
	{"benchmarking, RFC 2544", "198.18.0.0/15"},
	{"documentation 2, RFC 5737", "198.51.100.0/24"},
	{"documentation 3, RFC 5737", "203.0.113.0/24"},
	{"multicast, RFC 5771", "224.0.0.0/4"},
	{"reserved and broadcast, RFC 1112, RFC 919", "240.0.0.0/4"},
	{"Azure's metadata", "168.63.129.16/32"},

	{"unspecified, RFC 4291", "::/128"},
	{"loopback, RFC 4291", "::1/128"},
	{"IPv4-compatible, RFC 4291", "::7f00:0/104"},
	{"local-use NAT64, RFC 8215", "64:ff9b:1::/48"},
	{"discard only, RFC 6666", "100::/64"},
	{"dummy prefix, RFC 9780", "100:0:0:1::/64"},
	{"IETF protocol assignments, RFC 2928", "2001::/23"},
	{"Teredo, RFC 4380", "2001::/32"},
	{"benchmarking, RFC 5180", "2001:2::/48"},
	{"AMT, RFC 7450", "2001:3::/32"},
	{"AS112, RFC 7535", "2001:4:112::/48"},
	{"ORCHID, RFC 4843", "2001:10::/28"},
	{"ORCHIDv2, RFC 7343", "2001:20::/28"},
	{"drone remote ID, RFC 9374", "2001:30::/28"},
	{"documentation, RFC 3849", "2001:db8::/32"},
	{"6to4, RFC 3056", "2002::/16"},
	{"AS112, RFC 7534", "2620:4f:8000::/48"},
	{"documentation, RFC 9637", "3fff::/20"},
	{"segment routing, RFC 9602", "5f00::/16"},
	{"unique local, RFC 4193; metadata of AWS and GCP", "fc00::/7"},
	{"link local, RFC 4291", "fe80::/10"},
	{"site local, RFC 3879", "fec0::/10"},
	{"multicast, RFC 4291", "ff00::/8"},
	{"reserved by IETF, RFC 4291", "4000::/3"},
}

// ends are the first and the last address of a network.
func ends(p netip.Prefix) (first, last netip.Addr) {
	bytes := p.Addr().AsSlice()
	for i := p.Bits(); i < p.Addr().BitLen(); i++ {
		bytes[i/8] |= 1 << (7 - i%8)
	}
	last, _ = netip.AddrFromSlice(bytes)
	return p.Addr(), last
}

func TestSpecialNetworks(t *testing.T) {
	t.Parallel()
	g := newGuard(Config{})
	for _, tc := range special {
		first, last := ends(netip.MustParsePrefix(tc.prefix))
		for _, addr := range []netip.Addr{first, last} {
			if g.check(addr) == nil {
				t.Errorf("%s of %s (%s) passes", addr, tc.prefix, tc.name)
			}
			if addr.Is4() && g.check(netip.AddrFrom16(addr.As16())) == nil {
				t.Errorf("%s mapped into IPv6 passes", addr)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	g := newGuard(Config{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/64")}})
	for _, tc := range []struct {
		addr string
		pass bool
	}{
		{"8.8.8.8", true}, {"1.1.1.1", true}, {"2606:4700::1111", true}, {"2a00:1450:4001::1", true}, {"2001:200::1", true},
		// The neighbours of refused networks.
		{"1.0.0.0", true}, {"9.255.255.255", true}, {"11.0.0.0", true}, {"100.63.255.255", true}, {"100.128.0.0", true}, {"126.255.255.255", true},
		{"128.0.0.0", true}, {"169.253.255.255", true}, {"169.255.0.0", true}, {"172.15.255.255", true}, {"172.32.0.0", true}, {"192.0.1.0", true},
		{"192.167.255.255", true}, {"192.169.0.0", true}, {"198.17.255.255", true}, {"198.20.0.0", true}, {"223.255.255.255", true}, {"168.63.129.17", true},
		// Allowed networks, and their neighbours.
		{"10.1.0.0", true}, {"10.1.255.255", true}, {"::ffff:10.1.2.3", true}, {"10.0.255.255", false}, {"10.2.0.0", false},
		{"fd00:1::7", true}, {"fd00:1:0:1::", false},
		// Wrapped IPv4.
		{"::ffff:8.8.8.8", true}, {"::ffff:127.0.0.1", false}, {"::ffff:169.254.169.254", false}, {"::127.0.0.1", false}, {"::ffff:0:127.0.0.1", false},
		{"64:ff9b::8.8.8.8", true}, {"64:ff9b::127.0.0.1", false}, {"64:ff9b::169.254.169.254", false}, {"64:ff9b:1::8.8.8.8", false}, {"64:ff9b::10.1.2.3", true},
		{"2002:7f00:1::", false}, {"2002:808:808::", false}, {"2001:0:7f00:1::", false}, {"2001:0:4136:e378:8000:63bf:3fff:fdd2", false},
		{"2606:4700::5efe:127.0.0.1", false}, {"2606:4700::200:5efe:10.0.0.1", false}, {"2606:4700::5eff:7f00:1", true},
		// Metadata of clouds.
		{"169.254.169.254", false}, {"169.254.170.2", false}, {"fd00:ec2::254", false}, {"fd20:ce::254", false}, {"100.100.100.200", false}, {"192.0.0.192", false},
		// Zones.
		{"fe80::1%eth0", false}, {"2606:4700::1%eth0", false}, {"fd00:1::7%eth0", false},
	} {
		if err := g.check(netip.MustParseAddr(tc.addr)); (err == nil) != tc.pass {
			t.Errorf("%s: %v, want it to pass: %v", tc.addr, err, tc.pass)
		}
	}
}

// FuzzCheck: what passes is public by every other reading, and an address passes
// in all its forms or in none.
func FuzzCheck(f *testing.F) {
	var networks []netip.Prefix
	for _, tc := range special {
		p := netip.MustParsePrefix(tc.prefix)
		networks = append(networks, p)
		f.Add(p.Addr().AsSlice())
	}
	g := newGuard(Config{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		addr, ok := netip.AddrFromSlice(raw)
		if !ok {
			t.Skip()
		}
		passes := g.check(addr) == nil
		if mapped := netip.AddrFrom16(addr.As16()); (g.check(mapped) == nil) != passes {
			t.Errorf("%s and %s are judged differently", addr, mapped)
		}
		plain := addr.Unmap()
		nat64 := netip.MustParsePrefix("64:ff9b::/96").Contains(plain)
		if nat64 {
			plain = netip.AddrFrom4([4]byte(raw[12:]))
		}
		inside := slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(plain) })
		if passes && (inside || !plain.IsGlobalUnicast() || plain.IsPrivate() || plain.IsLoopback()) {
			t.Errorf("%s passes", addr)
		}
		if plain.Is4() && passes == inside {
			t.Errorf("%s: passes %v, of a special network %v", addr, passes, inside)
		}
	})
}

// evil are addresses that lead inside or elsewhere than over HTTP; none must ever
// be dialled.
var evil = []struct{ address, want string }{
	{"http://127.0.0.1/", "no public address"},
	{"http://127.1.2.3/", "no public address"},
	{"http://0.0.0.0/", "no public address"},
	{"http://10.0.0.1/", "ALLOW_PRIVATE"},
	{"https://192.168.1.1/admin", "no public address"},
	{"http://169.254.169.254/latest/meta-data/", "no public address"},
	{"http://168.63.129.16/machine", "no public address"},
	{"http://[::1]/", "no public address"},
	{"http://[::]/", "no public address"},
	{"http://[::ffff:127.0.0.1]/", "no public address"},
	{"http://[::ffff:7f00:1]/", "no public address"},
	{"http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "no public address"},
	{"http://[64:ff9b::a9fe:a9fe]/", "no public address"},
	{"http://[fd00:ec2::254]/latest/", "no public address"},
	{"http://[fe80::1%25lo]/", "network interface"},
	{"http://2130706433/", "four decimal numbers"},
	{"http://017700000001/", "four decimal numbers"},
	{"http://0x7f000001/", "four decimal numbers"},
	{"http://0177.0.0.1/", "four decimal numbers"},
	{"http://0x7f.0.0.1/", "four decimal numbers"},
	{"http://127.1/", "four decimal numbers"},
	{"http://127.0.0.1./", "four decimal numbers"},
	{"http://127.0.0.0x1/", "four decimal numbers"},
	{"http://127.0.0.256/", "four decimal numbers"},
	{"http://example.0x/", "four decimal numbers"},
	{"http://①②⑦.⓪.⓪.①/", ""},
	{"http://inside.test/", "the host inside.test has no public address"},
	{"http://INSIDE.test/", "no public address"},
	{"http://inside.test:22/", "port 22 is not allowed"},
	{"http://example.com:8080/", "PORTS"},
	{"http://example.com:99999/", "port 99999"},
	{"http://example.com:x/", "malformed"},
	{"http://user:secret@example.com/", "user names"},
	{"http://example.com@127.0.0.1/", "user names"},
	{"http://example.com\\@127.0.0.1/", "malformed"},
	{"http://exa mple.com/", "malformed"},
	{"http://example.com/\r\nX: y", "malformed"},
	{"http:///etc/passwd", "no host"},
	{"http://:80/", "no host"},
	{"http:127.0.0.1", "no host"},
	{"//example.com/", `scheme ""`},
	{"/etc/passwd", `scheme ""`},
	{"", `scheme ""`},
	{"file:///etc/passwd", `scheme "file"`},
	{"gopher://example.com:70/_x", `scheme "gopher"`},
	{"ftp://example.com/", `scheme "ftp"`},
	{"data:text/plain,x", `scheme "data"`},
	{"unix:///var/run/docker.sock", `scheme "unix"`},
	{"jar:http://example.com!/", `scheme "jar"`},
	{"http://example.com/" + strings.Repeat("a", maxURLBytes), "at most 8192"},
}

func TestEvilAddresses(t *testing.T) {
	t.Parallel()
	c := client(t, Config{Resolver: fixed("inside.test", "10.11.12.13", "127.0.0.1")})
	for _, tc := range evil {
		answer, err := c.Get(t.Context(), tc.address, Conditions{})
		e := wantError(t, err, event.ClassInvalid, tc.want)
		if answer.Body != nil {
			t.Errorf("%s: body %q", tc.address, answer.Body)
		}
		if strings.Contains(e.Error(), "10.11.12.13") || strings.Contains(e.Error(), "secret") {
			t.Errorf("%s: the error tells too much: %v", tc.address, e)
		}
	}
}

// FuzzParse: an address that is taken is of HTTP, without credentials, to an
// allowed port, and is taken the same way again.
func FuzzParse(f *testing.F) {
	for _, tc := range evil {
		f.Add(tc.address)
	}
	f.Add("https://example.com/a?b=c#d")
	f.Add("http://[2606:4700::1111]:443/%2f")
	c := New(Config{})
	f.Fuzz(func(t *testing.T, address string) {
		u, err := c.parse(address)
		if err != nil {
			wantError(t, err, event.ClassInvalid)
			return
		}
		if u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS || u.User != nil || u.Fragment != "" ||
			u.Hostname() == "" || !slices.Contains([]string{"", "80", "443"}, strings.TrimLeft(u.Port(), "0")) {
			t.Errorf("%q is taken as %+v", address, u)
		}
		again, err := c.parse(u.String())
		if err != nil || again.String() != u.String() || again.Host != u.Host {
			t.Errorf("%q is taken as %q, then as %v (%v)", address, u, again, err)
		}
		if s := shown(u); len(s) > maxShownURLBytes+8 {
			t.Errorf("%q is shown with %d bytes", address, len(s))
		}
	})
}
