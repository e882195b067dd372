package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/dead"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// died stores a dead letter of a job.
func died(t *testing.T, b *bus.Bus, tenant, job string) {
	t.Helper()
	err := b.Publish(context.Background(), bus.Out{Subject: event.DeadSubject("router", tenant),
		Data: fmt.Appendf(nil, `{"v":1,"id":%q,"messages":[{"role":"user","content":"Hi"}]}`, job),
		Header: nats.Header{stage.HeaderErrorClass: {"poison"}, stage.HeaderError: {"panic: index 3 of " + job}, stage.HeaderDeliveries: {"1"},
			stage.HeaderSubject: {"weir.jobs.generate.batch." + tenant}, stage.HeaderJob: {job}, stage.HeaderCost: {"3000000"}}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for _, job := range []string{"j1", "j2", "j3", "j4"} {
		died(t, b, "acme", job)
	}
	died(t, b, "zeta", "z1")
	deads := func(args ...string) outcome {
		t.Helper()
		return weir(t, append(append([]string{"dead"}, args...), "--nats-url", server.URL(), "--tenant", "acme")...)
	}
	deads("ls").wants(t, exitOK, "GROUP", "router", "poison", "4", "0", "0.012", "panic: index N of JOB")
	if groups := lines[dead.Group](t, deads("ls", "--json", "--every-tenant")); len(groups) != 1 || groups[0].Count != 5 {
		t.Errorf("groups %+v", groups)
	}
	if letters := lines[dead.Letter](t, deads("ls", "--list", "--json", "--limit", "3")); len(letters) != 3 || letters[2].Job != "j3" {
		t.Errorf("letters %+v", letters)
	}
	deads("show", "2").wants(t, exitOK, `"job": "j2"`, `"body"`)
	deads("show", "5").wants(t, exitUsage, "tenant acme has no dead letter 5")
	deads("show", "5", "--every-tenant").wants(t, exitOK, `"tenant": "zeta"`)
	deads("redrive").wants(t, exitUsage, "--all")
	deads("redrive", "1", "--all").wants(t, exitUsage, "not both")
	deads("redrive", "--all", "--dry-run").wants(t, exitOK, "4 letters, 4 chosen, 0 redriven, 0 refused; about 0.012 USD")
	deads("redrive", "1", "--edit", `{"max_tokens":-1}`).wants(t, exitUsage, "letter 1", "max_tokens")
	deads("redrive", "1", "--edit", `{"max_tokens":5}`).wants(t, exitOK, "letter 1 is redriven (1), job j1")
	deads("redrive", "1").wants(t, exitError, "has not ended since", "--force")
	deads("redrive", "--group", lines[dead.Group](t, deads("ls", "--json"))[0].ID, "--sample", "1").wants(t, exitOK, "3 letters, 1 chosen, 1 redriven")
	deads("redrive", "--all").wants(t, exitOK, "2 letters, 2 chosen, 2 redriven, 0 refused")
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil || stream.CachedInfo().State.Msgs != 4 {
		t.Errorf("%+v (%v), want the four jobs of acme", stream.CachedInfo().State, err)
	}
	msg, err := stream.GetMsg(t.Context(), 1)
	if err != nil || !strings.Contains(string(msg.Data), `"max_tokens":5`) || msg.Header.Get(dead.HeaderRedrive) != "1" {
		t.Errorf("%s %v (%v)", msg.Data, msg.Header, err)
	}
}
