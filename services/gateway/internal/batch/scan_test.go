package batch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/services/gateway/internal/batch"
)

// TestBrokenLine: a line near the end of the longest file is found before any is sent.
func TestBrokenLine(t *testing.T) {
	t.Parallel()
	r := setup(t)
	all := strings.SplitAfter(chatLines(batch.MaxLines), "\n")
	all[49_998] = `{"custom_id":"c49998","method":"POST","url":"/v1/chat/completions","body":{"model"` + "\n"
	o := r.ended("", r.create("", r.upload("", strings.Join(all, "")), "").ID, "failed")
	if o.Errors == nil || len(o.Errors.Data) != 1 || o.Errors.Data[0].Line != 49_999 || o.Errors.Data[0].Code != "invalid_json_line" || o.FailedAt == 0 {
		t.Errorf("got %+v", o.Errors)
	}
	if n := r.queued(stagetest.Tenant); n != 0 {
		t.Errorf("%d lines were sent", n)
	}
}

// TestWrongLines: each mistake is told with its line, and nothing is run.
func TestWrongLines(t *testing.T) {
	t.Parallel()
	r := setup(t)
	good := chatLine("a", "x")
	for name, c := range map[string]struct {
		in, code, param string
		line            int
	}{
		"empty":             {"", "empty_file", "", 0},
		"blank":             {"\n \n", "empty_file", "", 0},
		"no JSON":           {good + "hello\n", "invalid_json_line", "", 2},
		"list":              {"[]", "invalid_json_line", "", 1},
		"no UTF-8":          {good + strings.Replace(chatLine("b", "x"), "small", "\xff", 1), "invalid_json_line", "", 2},
		"two values":        {strings.TrimSuffix(good, "\n") + good, "invalid_json_line", "", 1},
		"no custom_id":      {chatLine("", "x"), "missing_required_parameter", "custom_id", 1},
		"long custom_id":    {chatLine(strings.Repeat("x", 513), "x"), "invalid_custom_id", "custom_id", 1},
		"same custom_id":    {good + "\r\n" + good, "duplicate_custom_id", "custom_id", 3},
		"method":            {strings.Replace(good, "POST", "GET", 1), "invalid_method", "method", 1},
		"url":               {strings.Replace(good, "/v1/chat", "/v1/caht", 1), "mismatched_url", "url", 1},
		"no body":           {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}`, "missing_required_parameter", "body", 1},
		"body is no object": {`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":[1]}`, "missing_required_parameter", "body", 1},
	} {
		o := r.ended("", r.create("", r.upload("", c.in), "").ID, "failed")
		if o.Errors == nil || len(o.Errors.Data) != 1 || o.Errors.Data[0].Line != c.line || o.Errors.Data[0].Code != c.code || o.Errors.Data[0].Param != c.param {
			t.Errorf("%s: got %+v", name, o.Errors)
		}
	}
	if n := r.queued(stagetest.Tenant); n != 0 {
		t.Errorf("%d lines were sent", n)
	}
}

// TestTooManyLines: a file with more lines than a batch may have fails as a whole, and
// of many mistakes the first hundred are told.
func TestTooManyLines(t *testing.T) {
	t.Parallel()
	r := setup(t)
	o := r.ended("", r.create("", r.upload("", chatLines(batch.MaxLines+1)), "").ID, "failed")
	if len(o.Errors.Data) != 1 || o.Errors.Data[0].Code != "too_many_lines" || o.Errors.Data[0].Line != batch.MaxLines+1 {
		t.Errorf("got %+v", o.Errors)
	}
	o = r.ended("", r.create("", r.upload("", strings.Repeat("x\n", 1000)), "").ID, "failed")
	if len(o.Errors.Data) != 100 || o.Errors.Data[99].Line != 100 {
		t.Errorf("got %d errors, %+v", len(o.Errors.Data), o.Errors.Data[len(o.Errors.Data)-1])
	}
	if message := r.Result(o.ID).Error.Message; !strings.Contains(message, fmt.Sprint(1000)) {
		t.Errorf("got %q", message)
	}
}
