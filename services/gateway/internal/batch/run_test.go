package batch

import (
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// TestLineOf: only the jobs that a batch names are its lines'; a job whose name looks
// like one is somebody's own.
func TestLineOf(t *testing.T) {
	t.Parallel()
	r := &run{job: event.BatchJob{Envelope: event.Envelope{ID: "b"}}, in: &input{lines: []span{{number: 1}, {number: 2}, {number: 12}}}}
	for job, want := range map[string]int{"b-1": 0, "b-2": 1, "b-12": 2, "b-3": -1, "b-02": -1, "b-1-2": -1, "b-": -1, "b": -1, "bb-1": -1, "b--1": -1} {
		i, mine := r.lineOf(event.ResultSubject("acme", job))
		if mine != (want >= 0) || mine && i != want {
			t.Errorf("%s: got %d %v, want %d", job, i, mine, want)
		}
	}
}

// TestBunch: lines are held for one publish as long as they are few and short.
func TestBunch(t *testing.T) {
	t.Parallel()
	var b bunch
	for n := 1; !b.add(bus.Out{Data: make([]byte, 1<<20)}); n++ {
		if n == 8 {
			t.Fatal("8 MiB are held")
		}
	}
	b = bunch{}
	n := 1
	for ; !b.add(bus.Out{Data: []byte("{}")}); n++ {
	}
	if n != bunchLines {
		t.Errorf("%d short lines are published at once, want %d", n, bunchLines)
	}
}
