package generator

import (
	"slices"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestCitations(t *testing.T) {
	t.Parallel()
	sources := []event.Source{{Number: 1}, {Number: 2}, {Number: 3}, {Number: 12}}
	for _, tc := range []struct {
		text string
		want []int
	}{
		{"I don't know.", nil},
		{"", nil},
		{"So it is [1].", []int{1}},
		{"So it is [2][1].", []int{1, 2}},
		{"So it is [1, 3].", []int{1, 3}},
		{"So it is [1,2 , 12].", []int{1, 2, 12}},
		{"Twice [1], twice [1].", []int{1}},
		{"Made up [4] and [99].", nil},
		{"Half made up [4, 2].", []int{2}},
		{"No number [a], [], [0], [-1], (1), 1.", nil},
		{"Too long [1234567890123456789012].", nil},
		{"Open [1 and 2]", nil},
	} {
		var got []int
		for _, s := range citations(tc.text, sources) {
			got = append(got, s.Number)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q cites %v, want %v", tc.text, got, tc.want)
		}
	}
	if got := citations("Nothing to cite [1].", nil); len(got) != 0 {
		t.Errorf("citations %+v without sources", got)
	}
	if sources[0].Number != 1 || len(sources) != 4 || sources[3].Number != 12 {
		t.Errorf("the task's sources were changed: %+v", sources)
	}
}
