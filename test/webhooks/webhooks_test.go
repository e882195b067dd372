package webhooks_test

import (
	"fmt"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/webhook"
)

// TestReference: the reference library takes what is sent, by the old secret as well
// as by the new one, and nothing else.
func TestReference(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	r := newRig(t, to.URL)
	r.finish("j1", to.URL+"/hook")
	r.delivered(1)
	to.mu.Lock()
	requests := to.requests
	to.mu.Unlock()
	if len(requests) != 2 || requests[0].Headers["webhook-id"] != requests[1].Headers["webhook-id"] || requests[0].Body != requests[1].Body {
		t.Fatalf("two tries are not of the same event: %+v", requests)
	}
	var asked []got
	var want []string
	for _, request := range requests {
		for secret, says := range map[string]string{oldSecret: "ok", newSecret: "ok", webhook.NewSecret(): "No matching signature found"} {
			request.Secret = secret
			asked, want = append(asked, request), append(want, says)
		}
	}
	forged := asked[0]
	forged.Body += " "
	asked, want = append(asked, forged), append(want, "No matching signature found")
	for i, says := range reference(t, asked) {
		if says != want[i] {
			t.Errorf("of request %d the library says %q, want %q", i, says, want[i])
		}
	}
}

// TestKill: a notifier that is killed in the middle loses nothing; only what was on
// its way is sent twice.
func TestKill(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	r := newRig(t, to.URL)
	const jobs, kills = 300, 2
	for i := range jobs {
		r.finish(fmt.Sprintf("j%d", i), to.URL)
		if i%(jobs/kills) == jobs/kills/2 {
			r.notifier.Kill()
			r.notifier = r.notifier.Restart()
		}
	}
	r.delivered(jobs)
	to.mu.Lock()
	defer to.mu.Unlock()
	if len(to.tries) != jobs {
		t.Errorf("%d events came, want %d", len(to.tries), jobs)
	}
	twice := 0
	for id, n := range to.tries {
		if n < 2 {
			t.Errorf("%s was accepted before its second try", id)
		}
		twice += n - 2
	}
	t.Logf("%d tries came twice", twice)
	if most := kills * 4; twice > most { // as many as are tried at once
		t.Errorf("%d tries came twice, want %d at most", twice, most)
	}
	s, err := r.bus.JetStream().Stream(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d dead letters", n)
	}
}
