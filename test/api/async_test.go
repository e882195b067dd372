package api

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/weir-dev/weir/pkg/event"
)

// async is what the tests read of api/asyncapi.yaml.
type async struct {
	AsyncAPI string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address    string `yaml:"address"`
		Parameters map[string]struct {
			Enum []string `yaml:"enum"`
		} `yaml:"parameters"`
		Messages map[string]map[string]string `yaml:"messages"`
	} `yaml:"channels"`
	Operations map[string]struct {
		Channel map[string]string `yaml:"channel"`
	} `yaml:"operations"`
	Components struct {
		Messages map[string]struct {
			Payload map[string]string `yaml:"payload"`
		} `yaml:"messages"`
	} `yaml:"components"`
}

func readAsync(t *testing.T) async {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "api", "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc async
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestAsyncSubjects: the channels are the subjects that users may touch.
func TestAsyncSubjects(t *testing.T) {
	t.Parallel()
	doc := readAsync(t)
	for channel, subject := range map[string]string{
		"jobs":    event.Address{Kind: "{kind}", Lane: "{lane}", Tenant: "{tenant}"}.Subject(),
		"results": event.ResultSubject("{tenant}", "{job}"),
		"events":  event.LifeSubject("{tenant}", "{job}"),
		"tokens":  event.TokenSubject("{tenant}", "{job}"),
		"live":    event.LiveSubject("{tenant}", "{job}"),
		"query":   event.QueryRPC("{tenant}"),
	} {
		if got := doc.Channels[channel].Address; got != subject {
			t.Errorf("channel %s is at %q, want %q", channel, got, subject)
		}
	}
	jobs := doc.Channels["jobs"]
	for _, kind := range event.Kinds() {
		if !slices.Contains(jobs.Parameters["kind"].Enum, string(kind)) || jobs.Messages[string(kind)] == nil {
			t.Errorf("the channel of jobs lacks the kind %s", kind)
		}
	}
	for _, lane := range event.Lanes() {
		if !slices.Contains(jobs.Parameters["lane"].Enum, string(lane)) {
			t.Errorf("the channel of jobs lacks the lane %s", lane)
		}
	}
}

// TestAsyncRefs: all that is referred to is there.
func TestAsyncRefs(t *testing.T) {
	t.Parallel()
	doc := readAsync(t)
	for name, c := range doc.Channels {
		for message, ref := range c.Messages {
			if _, ok := doc.Components.Messages[strings.TrimPrefix(ref["$ref"], "#/components/messages/")]; !ok {
				t.Errorf("channel %s: message %s refers to %s", name, message, ref["$ref"])
			}
		}
		for _, part := range strings.Split(c.Address, ".") {
			if param := strings.Trim(part, "{}"); param != part {
				if _, ok := c.Parameters[param]; !ok {
					t.Errorf("channel %s has no parameter %s", name, param)
				}
			}
		}
	}
	for name, m := range doc.Components.Messages {
		if _, err := os.Stat(filepath.Join(root, "api", m.Payload["$ref"])); err != nil {
			t.Errorf("message %s: %v", name, err)
		}
	}
	for name, o := range doc.Operations {
		if _, ok := doc.Channels[strings.TrimPrefix(o.Channel["$ref"], "#/channels/")]; !ok {
			t.Errorf("operation %s is on no channel", name)
		}
	}
}
