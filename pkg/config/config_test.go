package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/config"
)

// Pool is embedded, so that its fields are those of kinds.
type Pool struct {
	PoolSize int `split_words:"true"`
}

// Bounds is a group: its fields have its name before theirs.
type Bounds struct {
	MaxBytes int64 `split_words:"true"`
}

// kinds has a field of every kind that services use, and each way to name one.
type kinds struct {
	Pool
	Stream       Bounds
	Text         string         `split_words:"true"`
	NatsURL      string         `split_words:"true"`
	HTTPAddr     string         `split_words:"true"`
	MaxItems     int            `split_words:"true"`
	PromptPrice  int64          `split_words:"true"`
	Port         uint16         `split_words:"true"`
	TopP         float64        `split_words:"true"`
	QdrantTLS    bool           `split_words:"true"`
	IdleTimeout  time.Duration  `split_words:"true"`
	KeepHosts    []string       `split_words:"true"`
	RateByModel  map[string]int `split_words:"true"`
	ProviderKey  config.Secret  `split_words:"true"`
	Sha256Sum    string         `split_words:"true"`
	WithoutWords string
	Renamed      string `envconfig:"other_name"`
	Ignored      string `ignored:"true"`
	private      string //nolint:unused // must not be listed
}

// TestSettingsNameWhatLoadReads: each listed variable, and no other, is read
// into its field, and its value is shown (or hidden) as it is in force.
func TestSettingsNameWhatLoadReads(t *testing.T) { //nolint:paralleltest // sets variables
	values := map[string]string{
		"T_TEXT": "a", "T_NATS_URL": "b", "T_HTTP_ADDR": "c", "T_MAX_ITEMS": "1", "T_PROMPT_PRICE": "2", "T_PORT": "3",
		"T_TOP_P": "0.5", "T_QDRANT_TLS": "true", "T_IDLE_TIMEOUT": "4s", "T_KEEP_HOSTS": "x,y", "T_RATE_BY_MODEL": "m:5",
		"T_PROVIDER_KEY": "hush", "T_SHA256_SUM": "d", "T_WITHOUTWORDS": "e", "T_OTHER_NAME": "f", "T_POOL_SIZE": "6",
		"T_STREAM_MAX_BYTES": "7",
	}
	shown := map[string]string{"T_KEEP_HOSTS": "[x y]", "T_RATE_BY_MODEL": "map[m:5]", "T_PROVIDER_KEY": "[redacted]"}
	var empty kinds
	for _, s := range config.Settings("T", empty) {
		if s.Set {
			t.Errorf("%s counts as set", s.Name)
		}
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
	var cfg kinds
	if err := config.Load("T", &cfg); err != nil {
		t.Fatal(err)
	}
	settings := config.Settings("T", &cfg)
	if len(settings) != len(values) {
		t.Errorf("%d settings, want %d", len(settings), len(values))
	}
	for _, s := range settings {
		want, known := values[s.Name]
		if !known {
			t.Errorf("%s is listed but not read", s.Name)
		}
		if other, ok := shown[s.Name]; ok {
			want = other
		}
		if s.Value != want || !s.Set {
			t.Errorf("%s: got %q, set %t; want %q", s.Name, s.Value, s.Set, want)
		}
	}
	if cfg.ProviderKey.Reveal() != "hush" {
		t.Errorf("got key %q", cfg.ProviderKey.Reveal())
	}
}

func TestLoadKeepsDefaults(t *testing.T) {
	t.Parallel()
	cfg := kinds{MaxItems: 7, KeepHosts: []string{"a"}}
	if err := config.Load("NOBODY_SETS_THIS", &cfg); err != nil {
		t.Fatal(err)
	}
	if cfg.MaxItems != 7 || len(cfg.KeepHosts) != 1 {
		t.Errorf("got %+v", cfg)
	}
}

type checked struct{ Slots int }

var errSlots = errors.New("slots: got 0, want 1 or more")

func (c *checked) Validate() error {
	if c.Slots == 0 {
		return errSlots
	}
	return nil
}

func TestLoadChecks(t *testing.T) { //nolint:paralleltest // sets variables
	if err := config.Load("T", &checked{}); !errors.Is(err, errSlots) {
		t.Errorf("got %v, want what Validate says", err)
	}
	t.Setenv("T_SLOTS", "2")
	cfg := checked{}
	if err := config.Load("T", &cfg); err != nil || cfg.Slots != 2 {
		t.Errorf("got %+v, %v", cfg, err)
	}
	t.Setenv("T_SLOTS", "many")
	if err := config.Load("T", &checked{}); err == nil || !strings.Contains(err.Error(), "T_SLOTS") || !strings.Contains(err.Error(), "many") {
		t.Errorf("got %v, want it to name the variable and the value", err)
	}
}

func TestEnvName(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]string{
		"Model": "MODEL", "NatsURL": "NATS_URL", "HTTPAddr": "HTTP_ADDR", "TopK": "TOP_K", "QdrantTLS": "QDRANT_TLS",
		"generator": "GENERATOR", "MaxDocumentBytes": "MAX_DOCUMENT_BYTES",
	} {
		if got := config.EnvName(field); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
}

// TestSecretIsNeverPrinted: by no verb, encoder or logger, alone or in a struct.
func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const hush = "hunter2"
	type holder struct {
		Key  config.Secret
		Keys []config.Secret
		By   map[string]config.Secret
		Ptr  *config.Secret
	}
	secret := config.Secret(hush)
	h := holder{secret, []config.Secret{secret}, map[string]config.Secret{"a": secret}, &secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U", "%10.3s"} {
		for _, value := range []any{secret, &secret, h, &h, []any{secret}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	fmt.Fprintln(&out, secret, h, fmt.Errorf("key %v", secret))
	for _, value := range []any{secret, h} {
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(data)
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("starting", "key", secret, "config", h, "pointer", &h, slog.Group("g", "key", secret))
	}
	for _, s := range config.Settings("T", h) {
		fmt.Fprintln(&out, s)
	}
	for _, hidden := range []string{hush, fmt.Sprintf("%x", hush), fmt.Sprintf("%X", hush), "hun"} {
		if strings.Contains(out.String(), hidden) {
			t.Errorf("%q shows in\n%s", hidden, out.String())
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing says that something is hidden")
	}
	if got := fmt.Sprint(config.Secret("")); got != "" {
		t.Errorf("an unset secret shows as %q", got)
	}
}

func TestPositive(t *testing.T) {
	t.Parallel()
	if err := config.Positive("T", config.Int{Name: "A", Value: 1}); err != nil {
		t.Error(err)
	}
	err := config.Positive("T", config.Int{Name: "A", Value: 1}, config.Int{Name: "B_C", Value: 0}, config.Int{Name: "D", Value: -1})
	if err == nil || !strings.Contains(err.Error(), "T_B_C: got 0") {
		t.Errorf("got %v, want the first wrong variable and its value", err)
	}
}

// TestSettingsHidePasswords: addresses are shown without what opens them.
func TestSettingsHidePasswords(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"nats://ann:hunter2@a:4222":                "nats://ann:xxxxx@a:4222",
		"nats://ann:hunter2@a:4222,nats://b:x@b":   "nats://ann:xxxxx@a:4222,nats://b:xxxxx@b",
		"ann:hunter2@a:4222":                       "ann:xxxxx@a:4222",
		"nats://hunter2@a:4222":                    "nats://xxxxx@a:4222",
		"nats://127.0.0.1:4222, nats://10.0.0.1":   "nats://127.0.0.1:4222, nats://10.0.0.1",
		"http://127.0.0.1:8087/v1/models?sort=a@b": "http://127.0.0.1:8087/v1/models?sort=a@b",
		"": "",
	} {
		got := config.Settings("TEST", struct{ Address string }{address})
		if len(got) != 1 || got[0].Value != want {
			t.Errorf("%s is shown as %+v, want %s", address, got, want)
		}
	}
}
