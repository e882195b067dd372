package ledger

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
)

// BenchmarkCall is what the ledger adds to one call: the intent before it, and
// the line with the result.
func BenchmarkCall(b *testing.B) {
	l, conn, _ := setup(b)
	var jobs atomic.Int64
	call := func(b *testing.B) error {
		in := intent(1)
		in.Job = fmt.Sprint("j", jobs.Add(1))
		e, err := l.Begin(b.Context(), in)
		if err != nil {
			return err
		}
		out, err := LineOut(answered(e, "A short answer of a model."))
		if err != nil {
			return err
		}
		return conn.Publish(b.Context(), out)
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if err := call(b); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("64 at once", func(b *testing.B) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(b); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkGate is the budget's part: no I/O.
func BenchmarkGate(b *testing.B) {
	s, err := NewSpend(SpendConfig{Bus: new(bus.Bus)})
	if err != nil {
		b.Fatal(err)
	}
	s.setKnown()
	for b.Loop() {
		_, hold := s.Gate(budget(1e12), "acme", noon(), 100)
		hold.Done(noon(), 0)
	}
}
