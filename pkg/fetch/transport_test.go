package fetch

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// TestRoundTrip: other requests pass the same guard, and redirects are answers.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	address, cfg := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	post := func(c *Client, to string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		return c.RoundTrip(req)
	}
	resp, err := post(client(t, cfg), address)
	if err != nil || resp.StatusCode != http.StatusFound {
		t.Fatalf("got %v, %v", resp, err)
	}
	resp.Body.Close() //nolint:errcheck // nothing to read
	cfg.AllowPrivate = nil
	refused := client(t, Config{AllowedOnly: true, AllowPrivate: loopback()})
	for to, c := range map[string]*Client{address: client(t, cfg), "http://8.8.8.8/": refused} {
		resp, err := post(c, to)
		if !Refused(err) {
			t.Errorf("%s gives %v", to, err)
		}
		if err == nil {
			resp.Body.Close() //nolint:errcheck // nothing to read
		}
	}
	if err := refused.guard.check(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Errorf("what is allowed gives %v", err)
	}
}
