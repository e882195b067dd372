package batch

import (
	"testing"
	"time"
)

// TestWindow: a batch may have any deadline, one that is over when it is taken in, too.
func TestWindow(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for within, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m0s", time.Second: "1s", 0: "0s", 100 * time.Millisecond: "0s",
		-100 * time.Millisecond: "0s", -time.Hour: "-1h", 10*time.Hour + time.Second: "10h0m1s",
	} {
		if got := window(record{At: at, Deadline: at.Add(within)}); got != want {
			t.Errorf("%s: got %s, want %s", within, got, want)
		}
	}
	if got := window(record{At: at}); got != "" {
		t.Errorf("without a deadline: got %s", got)
	}
}
