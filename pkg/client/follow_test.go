package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// follow follows the job j1 and sends what it is told, one string each: a delta
// as it is, "<restart>" and "<life TYPE>".
func follow(ctx context.Context, c *client.Client) (told <-chan string, ended <-chan ending) {
	ch, end := make(chan string, 1000), make(chan ending, 1)
	go func() {
		r, err := c.Follow(ctx, "acme", "j1", client.Follower{
			Life:    func(l event.Life) { ch <- "<life " + l.Type + ">" },
			Delta:   func(text string) { ch <- text },
			Restart: func() { ch <- "<restart>" },
		})
		end <- ending{r, err}
	}()
	return ch, end
}

func want(t *testing.T, told <-chan string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if got := next(t, told); got != want {
			t.Fatalf("told %q, want %q", got, want)
		}
	}
}

// wantEnd checks the result and the text that is shown in the end.
func wantEnd(t *testing.T, told <-chan string, ended <-chan ending, text string) {
	t.Helper()
	if end := next(t, ended); end.err != nil || end.result.Answer == nil || end.result.Answer.Text != text {
		t.Errorf("got %+v", end)
	}
	for len(told) > 0 {
		t.Errorf("told %q after the end", <-told)
	}
}

// TestFollow: from the beginning, also of what was stored before, as it comes.
func TestFollow(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	store(t, b, event.LifeSubject("acme", "j1"), event.Life{V: 1, ID: "j1", Type: event.LifePlanned, At: time.Now()})
	told, ended := follow(t.Context(), c)
	want(t, told, "<life planned>")
	token(t, b, "j1", 1, "so ")
	want(t, told, "so ")
	token(t, b, "other", 1, "not mine")
	token(t, b, "j1", 1, "it is")
	want(t, told, "it is")
	store(t, b, event.TokenSubject("acme", "j1"), event.Token{V: 2, ID: "j1", Text: "of a later version"})
	answer(t, b, "j1", "so it is")
	wantEnd(t, told, ended, "so it is")
}

// TestFollowRestarts: a higher epoch voids what was shown, and a late piece of
// a lower one is not shown.
func TestFollowRestarts(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	told, ended := follow(t.Context(), c)
	token(t, b, "j1", 1, "wro")
	want(t, told, "wro")
	token(t, b, "j1", 3, "ri")
	want(t, told, "<restart>", "ri")
	token(t, b, "j1", 1, "ng")
	token(t, b, "j1", 3, "ght")
	want(t, told, "ght")
	answer(t, b, "j1", "right")
	wantEnd(t, told, ended, "right")
}

// TestFollowCompletes: the result is there before the last pieces are, or they
// are of another answer altogether.
func TestFollowCompletes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pieces []string
		told   []string
	}{
		"all late":       {nil, []string{"right"}},
		"the last late":  {[]string{"ri"}, []string{"ri", "ght"}},
		"another answer": {[]string{"wrong"}, []string{"wrong", "<restart>", "right"}},
		"one too many":   {[]string{"right", "!"}, []string{"right", "!", "<restart>", "right"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weir, b, _ := setup(t)
			told, ended := follow(t.Context(), weir)
			for i, piece := range c.pieces {
				token(t, b, "j1", 1, piece)
				want(t, told, c.told[i])
			}
			answer(t, b, "j1", "right")
			want(t, told, c.told[len(c.pieces):]...)
			wantEnd(t, told, ended, "right")
		})
	}
}

// TestFollowAFinishedJob: the stored life and the answer come whole.
func TestFollowAFinishedJob(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	for range 20 {
		store(t, b, event.LifeSubject("acme", "j1"), event.Life{V: 1, ID: "j1", Type: event.LifeRetrying})
	}
	token(t, b, "j1", 1, "ri")
	token(t, b, "j1", 1, "ght")
	answer(t, b, "j1", "right")
	told, ended := follow(t.Context(), c)
	if end := next(t, ended); end.err != nil {
		t.Fatal(end.err)
	}
	var shown strings.Builder
	for len(told) > 0 {
		shown.WriteString(<-told)
	}
	if lived := strings.Count(shown.String(), "<life retrying>"); lived != 20 {
		t.Errorf("%d events, want 20", lived)
	}
	if text := strings.ReplaceAll(shown.String(), "<life retrying>", ""); text != "right" {
		t.Errorf("shown %q", text)
	}
}

// TestFollowNeedsNoFunctions: each one may be left out.
func TestFollowNeedsNoFunctions(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	store(t, b, event.LifeSubject("acme", "j1"), event.Life{V: 1, ID: "j1", Type: event.LifePlanned})
	token(t, b, "j1", 1, "wrong")
	token(t, b, "j1", 2, "ri")
	answer(t, b, "j1", "right")
	if r, err := c.Follow(t.Context(), "acme", "j1", client.Follower{}); err != nil || r.Answer.Text != "right" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	told, ended := follow(ctx, c)
	token(t, b, "j1", 1, "so")
	want(t, told, "so")
	cancel(cause)
	if end := next(t, ended); !errors.Is(end.err, cause) {
		t.Errorf("got %v", end.err)
	}
}

// TestFollowSurvivesARestart: of the server; tokens are in memory and gone, the
// answer is complete all the same.
func TestFollowSurvivesARestart(t *testing.T) {
	t.Parallel()
	c, b, server := setup(t)
	told, ended := follow(t.Context(), c)
	token(t, b, "j1", 1, "ri")
	want(t, told, "ri")
	server.Restart()
	up(t, b)
	answer(t, b, "j1", "right")
	want(t, told, "ght")
	wantEnd(t, told, ended, "right")
}
