package batch

import (
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

// FuzzScan: any input file is read to its end, and either it is refused as invalid or
// its lines can be read again.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{"", "\n", "{}\n", `{"custom_id":"a","method":"POST","url":"/v1/jobs","body":{}}`, "[]\r\n\x00", `{"custom_id":"a","method":"POST","url":"/v1/jobs","body":{}}` + "\n\n"} {
		f.Add(seed)
	}
	s := &Service{cfg: Config{Dir: f.TempDir()}}
	f.Fuzz(func(t *testing.T, text string) {
		in, err := s.scan(t.Context(), strings.NewReader(text), "/v1/jobs")
		if err != nil {
			if e := event.AsError(err); e.Class != event.ClassInvalid || len(e.Violations) == 0 {
				t.Fatalf("got %v", err)
			}
			return
		}
		defer in.Close() //nolint:errcheck // it is thrown away
		for i := range in.lines {
			l, err := in.read(i)
			if found, ok := in.index(int(in.lines[i].number)); err != nil || l.CustomID == "" || !ok || found != i {
				t.Fatalf("line %d: %+v, %v", i, l, err)
			}
		}
	})
}
