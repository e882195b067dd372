package quotes

import (
	"context"
	"testing"
	"time"

	"github.com/weir-dev/weir/test/internal/proc"
)

// TestQuotes: after some hundred jobs, quotes of others hold what those cost.
func TestQuotes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	m, err := Measure(ctx, Config{Dir: t.TempDir(), QdrantAddr: proc.FreeAddr(t), Warm: 300, Jobs: 500, Parallel: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("quotes of %d jobs: %.1f %% of the costs are covered, the likely cost is off by %.1f %% in the median, high is %.2f times low, %.1f %% are learned",
		m.Jobs, 100*m.Covered, 100*m.Error, m.Width, 100*m.Learned)
	for name, k := range m.Kinds {
		t.Logf("%-8s %3d jobs: %.1f %% covered, off by %.1f %%", name, k.Jobs, 100*k.Covered, 100*k.Error)
	}
	if m.Covered < 0.9 || m.Error > 0.25 || m.Learned < 0.8 {
		t.Errorf("got %+v, want 90 %% covered, an error of 25 %% at most, and quotes that are learned", m)
	}
}
