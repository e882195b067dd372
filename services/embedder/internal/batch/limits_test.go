package batch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
)

func TestLimitsOf(t *testing.T) {
	t.Parallel()
	own := Limits{Items: 256, Tokens: 100_000, Bytes: 1000}
	for _, tc := range []struct {
		name  string
		model catalog.Model
		want  Limits
	}{
		{"unknown", catalog.Model{}, own},
		{"the service's are less", catalog.Model{Batch: catalog.Batch{Items: 2048, Tokens: 300_000, Bytes: 2000}}, own},
		{"the model's are less", catalog.Model{Batch: catalog.Batch{Items: 32, Tokens: 16_384, Bytes: 10}}, Limits{32, 16_384, 10}},
		{"the rate is less", catalog.Model{Batch: catalog.Batch{Tokens: 16_384}, Limits: catalog.Limits{TPM: 600_000}}, Limits{256, 10_000, 1000}},
		{"the model has more tokens", catalog.Model{Tokens: catalog.Tokens{Ratio: 2}}, Limits{256, 50_000, 1000}},
	} {
		if got := own.Of(tc.model); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
	if got := (Limits{}).Of(catalog.Model{Tokens: catalog.Tokens{Ratio: 2}}); got != (Limits{}) {
		t.Errorf("without any: %+v", got)
	}
}

func TestSizeOf(t *testing.T) {
	t.Parallel()
	if got := SizeOf("äbcd", 0); got != (Size{2, 5}) {
		t.Errorf("not counted: %+v", got)
	}
	if got := SizeOf("äbcd", 7); got != (Size{7, 5}) {
		t.Errorf("counted: %+v", got)
	}
}

// TestFill: never over a limit but for a single text, never less than fits, and
// full exactly when nothing more could go in.
func TestFill(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		l := Limits{Items: 1 + r.IntN(5), Tokens: r.IntN(20), Bytes: r.IntN(40)}
		sizes := make([]Size, 1+r.IntN(8))
		for i := range sizes {
			sizes[i] = Size{1 + r.IntN(8), 1 + r.IntN(16)}
		}
		n, full := l.Fill(len(sizes), func(i int) Size { return sizes[i] })
		fits := func(n int) bool {
			var sum Size
			for _, s := range sizes[:n] {
				sum = sum.plus(s)
			}
			return n <= l.Items && (l.Tokens == 0 || sum.Tokens <= l.Tokens) && (l.Bytes == 0 || sum.Bytes <= l.Bytes)
		}
		switch {
		case n < 1 || n > len(sizes), n > 1 && !fits(n):
			t.Fatalf("seed %d: %d of %+v in %+v", seed, n, sizes, l)
		case n < len(sizes) && (fits(n+1) || !full):
			t.Fatalf("seed %d: only %d of %+v in %+v, full %v", seed, n, sizes, l, full)
		case n == len(sizes):
			sizes = append(sizes, Size{1, 1})
			if fits(n+1) == full {
				t.Fatalf("seed %d: %d of %+v in %+v, full %v", seed, n, sizes, l, full)
			}
		}
	}
}

// TestShares sum up to the whole, and none is less than its part rounded down by
// more than what went before.
func TestShares(t *testing.T) {
	t.Parallel()
	if got := shares(100, []int{10, 30, 60}); !slices.Equal(got, []int64{10, 30, 60}) {
		t.Errorf("got %v", got)
	}
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 1))
		whole, sizes, total := r.Int64N(1_000_000_000_000), make([]int, 1+r.IntN(9)), 0
		for i := range sizes {
			sizes[i] = r.IntN(1000)
			total += sizes[i]
		}
		sum := int64(0)
		for i, share := range shares(whole, sizes) {
			sum += share
			part := float64(whole) * float64(sizes[i]) / float64(max(total, 1))
			if share < 0 || total > 0 && (float64(share) < part-2 || float64(share) > part+float64(len(sizes))) {
				t.Fatalf("seed %d: share %d of %d by %v is %d, want about %.0f", seed, i, whole, sizes, share, part)
			}
		}
		if sum != whole {
			t.Fatalf("seed %d: the shares of %d by %v sum up to %d", seed, whole, sizes, sum)
		}
	}
	if got := shares(7, []int{0, 0}); got[0]+got[1] != 7 {
		t.Errorf("of nothing: %v", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	list := append(texts("a", "b"), Text{Name: "chunk 12"})
	if got := []string{name(list, 1), name(list, 2)}; strings.Join(got, ", ") != "text 2 of 3, chunk 12" {
		t.Errorf("got %v", got)
	}
}
