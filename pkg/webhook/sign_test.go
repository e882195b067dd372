package webhook_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/webhook"
)

// TestSign: the vector of the reference implementation's own tests.
func TestSign(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	body := []byte(`{"test": 2432232314}`)
	at := time.Unix(1614265330, 0)
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // see above
	if err := webhook.Sign(header, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, secret); err != nil {
		t.Fatal(err)
	}
	if got := header.Get(webhook.HeaderSignature); got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("signed %s", got)
	}
	if err := webhook.Verify(header, body, at.Add(webhook.Tolerance), secret); err != nil {
		t.Error(err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, current := webhook.NewSecret(), webhook.NewSecret()
	body := []byte(`{}`)
	for name, tc := range map[string]struct {
		by, known []string
		at        time.Time
		change    func(http.Header)
		want      string
	}{
		"one":              {by: []string{current}, known: []string{current}},
		"receiver is late": {by: []string{current, old}, known: []string{old}},
		"sender is late":   {by: []string{old}, known: []string{current, old}},
		"other":            {by: []string{old}, known: []string{current}, want: "known secret"},
		"no known":         {by: []string{old}, want: "known secret"},
		"repeated":         {by: []string{old}, known: []string{old}, at: now.Add(-6 * time.Minute), want: "from now"},
		"too early":        {by: []string{old}, known: []string{old}, at: now.Add(6 * time.Minute), want: "from now"},
		"other id":         {by: []string{old}, known: []string{old}, change: func(h http.Header) { h.Set(webhook.HeaderID, "x") }, want: "known secret"},
		"no id":            {by: []string{old}, known: []string{old}, change: func(h http.Header) { h.Del(webhook.HeaderID) }, want: "no id"},
		"no signature":     {by: []string{old}, known: []string{old}, change: func(h http.Header) { h.Del(webhook.HeaderSignature) }, want: "known secret"},
		"short known":      {by: []string{old}, known: []string{"whsec_c2hvcnQ="}, want: "24 to 64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			at := tc.at
			if at.IsZero() {
				at = now
			}
			if err := webhook.Sign(header, "msg_1", at, body, tc.by...); err != nil {
				t.Fatal(err)
			}
			if tc.change != nil {
				tc.change(header)
			}
			err := webhook.Verify(header, body, now, tc.known...)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, secrets := range map[string][]string{"none": nil, "no prefix": {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "no base64": {"whsec_???"}} {
		err := webhook.Sign(http.Header{}, "msg_1", time.Now(), nil, secrets...)
		if err == nil || len(secrets) > 0 && strings.Contains(err.Error(), secrets[0]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// FuzzVerify: nothing but what was signed passes, and nothing breaks it.
func FuzzVerify(f *testing.F) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // of the tests
	f.Add("msg_1", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", []byte(`{}`))
	f.Add("", "-1", "v1, v1a,x", []byte(nil))
	f.Fuzz(func(t *testing.T, id, seconds, signature string, body []byte) {
		header := http.Header{webhook.HeaderID: {id}, webhook.HeaderTimestamp: {seconds}, webhook.HeaderSignature: {signature}}
		if webhook.Verify(header, body, time.Unix(1614265330, 0), secret) == nil {
			again := http.Header{}
			if err := webhook.Sign(again, id, time.Unix(1614265330, 0), body, secret); err != nil {
				t.Fatal(err)
			}
			if seconds == "1614265330" && !strings.Contains(signature, again.Get(webhook.HeaderSignature)) {
				t.Errorf("%q passes", signature)
			}
		}
	})
}
