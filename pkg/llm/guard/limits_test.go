package guard

import (
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
)

func TestBatchTokens(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		limits catalog.Limits
		want   int
	}{
		{catalog.Limits{}, 0},
		{catalog.Limits{RPM: 10, Concurrency: 4}, 0},
		{catalog.Limits{TPM: 600_000}, 10_000},
		{catalog.Limits{TPM: 600_000, RPM: 3000}, 10_000},
		{catalog.Limits{TPM: 600_000, RPM: 80}, 15_000},
		{catalog.Limits{TPM: 600_000, RPM: 1}, 20_000},
		{catalog.Limits{TPM: 600_000, ITPM: 60_000, OTPM: 1}, 1000},
		{catalog.Limits{TPM: 600_000, TPD: 6000}, 100},
		{catalog.Limits{TPM: 1}, 1},
	} {
		if got := BatchTokens(catalog.Model{Limits: tc.limits}); got != tc.want {
			t.Errorf("%+v: %d tokens, want %d", tc.limits, got, tc.want)
		}
	}
}
