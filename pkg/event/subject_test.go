package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestSubjects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, got, want string }{
		{"intake", event.Address{Kind: event.KindIngest, Lane: event.LaneBatch, Tenant: "acme"}.Subject(), "weir.jobs.ingest.batch.acme"},
		{"embed", event.EmbedSubject("small", event.LaneBatch, "acme"), "weir.steps.embed.small.batch.acme"},
		{"generate", event.GenerateSubject("big", event.LaneInteractive, "acme"), "weir.steps.generate.big.interactive.acme"},
		{"result", event.ResultSubject("acme", "j1"), "weir.results.acme.j1"},
		{"life", event.LifeSubject("acme", "j1"), "weir.events.acme.j1"},
		{"tokens", event.TokenSubject("acme", "j1"), "weir.tokens.acme.j1"},
		{"dead", event.DeadSubject("router", "acme"), "weir.dead.router.acme"},
		{"dead of no tenant", event.DeadSubject("router", ""), "weir.dead.router.unknown"},
		{"dead of a hostile tenant", event.DeadSubject("router", "a.*"), "weir.dead.router.unknown"},
		{"rpc", event.EmbedRPC("small"), "weir.rpc.embed.small"},
		{"tenant", event.TenantOf("weir.steps.embed.small.batch.acme"), "acme"},
		{"tenant of a bare word", event.TenantOf("acme"), "acme"},
		{"kind of an ingest job", string(event.KindOf("weir.jobs.ingest.batch.acme")), "ingest"},
		{"kind of a chunk batch", string(event.KindOf("weir.steps.embed.small.batch.acme")), "ingest"},
		{"kind of a generate job", string(event.KindOf("weir.jobs.generate.batch.acme")), "generate"},
		{"kind of a task", string(event.KindOf("weir.steps.generate.big.batch.acme")), "generate"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, kind := range []event.Kind{event.KindIngest, event.KindGenerate} {
		for _, lane := range event.Lanes() {
			want := event.Address{Kind: kind, Lane: lane, Tenant: "acme"}
			if got, err := event.ParseAddress(want.Subject()); err != nil || got != want {
				t.Errorf("%s: got %v, %v", want.Subject(), got, err)
			}
		}
	}
	for _, c := range []struct{ subject, field string }{
		{"", "subject"},
		{"weir.jobs.generate.batch", "subject"},
		{"weir.jobs.generate.batch.acme.more", "subject"},
		{"weir.steps.generate.batch.acme", "subject"},
		{"other.jobs.generate.batch.acme", "subject"},
		{"weir.jobs.paint.batch.acme", "kind"},
		{"weir.jobs.generate.express.acme", "lane"},
		{"weir.jobs.generate.batch.*", "tenant"},
		{"weir.jobs.generate.batch.", "tenant"},
	} {
		_, err := event.ParseAddress(c.subject)
		wantInvalid(t, c.subject, err, event.ClassInvalid, c.field)
	}
}

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "Z9_-", "0", strings.Repeat("x", 64)} {
		if err := event.CheckName("id", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a.b", "a b", "*", ">", "ä", "a\x00", "a\n", "\xff", "../x"} {
		wantInvalid(t, bad, event.CheckName("id", bad), event.ClassInvalid, "id")
	}
}

// wantInvalid checks an error's class and field, and that it says what is
// wrong and what to do.
func wantInvalid(t *testing.T, name string, err error, class event.Class, field string) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) {
		t.Errorf("%q: got %v, want an event.Error", name, err)
		return
	}
	if e.Class != class || e.Field != field {
		t.Errorf("%q: got %s on field %q, want %s on %q (%v)", name, e.Class, e.Field, class, field, err)
	}
	if e.Message == "" || e.Hint == "" {
		t.Errorf("%q: message %q, hint %q: neither may be empty", name, e.Message, e.Hint)
	}
}
