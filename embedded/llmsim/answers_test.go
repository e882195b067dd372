package llmsim

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswersValidate(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Answers{
		"Answers.Gold[1]":                     {Gold: []Gold{{Question: "a", Answer: "b"}, {Question: "?", Answer: "b"}}},
		"Answers.Difficulty.AUROC is 0.4":     {Difficulty: &Difficulty{AUROC: 0.4}},
		"Answers.Difficulty.Slope is -1":      {Difficulty: &Difficulty{Slope: -1}},
		"Answers.Paraphrases[0] has 1 texts":  {Paraphrases: [][]string{{"a"}}},
		"Answers.JobWorkers is -1":            {JobWorkers: -1},
		"Answers.StoredBytes is -5":           {StoredBytes: -5},
		`Answers.Webhook.URL is "ftp://x"`:    {Webhook: Webhook{URL: "ftp://x"}},
		"Answers.Webhook.Secret is not a sig": {Webhook: Webhook{URL: "http://x", Secret: "whsec_?"}},
	} {
		cfg := DefaultConfig()
		cfg.Answers = a
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	cfg := DefaultConfig()
	cfg.Answers = Answers{Webhook: Webhook{URL: "https://x/y", Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("k"))},
		Difficulty: &Difficulty{Skill: map[string]float64{"sim-small": 0.5}}}
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

func TestDirectives(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	for order, want := range map[string]string{
		"mode=echo":                "  as it is ",
		"mode=text;text=a%3Bb%20c": "a;b c",
		"mode=words;n=3":           "word word",
		"mode=unknown":             unknownAnswer,
		"mode=refuse":              usualRefusal,
		" mode=refuse; text=No%21": "No!",
		"mode=right":               "You said: as it is",
		"":                         "You said: as it is",
		"mode=dance":               "mode is \"dance\"",
		"mode=words":               "wants n",
		"n=3":                      "mode is \"\"",
		"mode=words;n=0":           "n is \"0\"",
		"mode=text;colour=red":     "unknown key \"colour\"",
		"mode=text;text=%zz":       "invalid URL escape",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"sim-small","messages":[{"role":"user","content":"  as it is "}],"metadata":{"sim":"mode=text;text=metadata"}}`))
		r.Header.Set(directiveHeader, order)
		if order == "" {
			r = httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"sim-small","messages":[{"role":"user","content":"  as it is "}]}`))
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		got := decodeReply(t, w)
		text := got.Error.Message
		if len(got.Choices) > 0 {
			text = value(got.Choices[0].Message.Content) + value(got.Choices[0].Message.Refusal)
		}
		if len(got.Choices) > 0 && text != want || !strings.Contains(text, want) {
			t.Errorf("%q: got %q, want %q", order, text, want)
		}
	}
}

func FuzzDirective(f *testing.F) {
	f.Add("mode=text;text=a%20b")
	f.Add("mode=words;n=5")
	f.Add(";;=;mode")
	f.Fuzz(func(t *testing.T, source string) {
		if d, err := parseDirective(source); err == nil && d.mode == modeWords && d.n < 1 {
			t.Errorf("%q is taken as %+v", source, d)
		}
	})
}
