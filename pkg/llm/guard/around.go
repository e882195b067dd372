package guard

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/lifecycle"
)

// Around runs services that make calls, on top of the guard: calls in work drain
// through it. It closes ready when all of them are ready.
func (g *Guard) Around(ctx context.Context, ready chan<- struct{}, services ...lifecycle.Service) error {
	members := make([]lifecycle.Member, len(services))
	for i, s := range services {
		members[i] = lifecycle.Member{Name: fmt.Sprint("part ", i+1), Service: s}
	}
	return lifecycle.Run(ctx,
		func(on bool) {
			if on {
				close(ready)
			}
		},
		func(context.Context) ([]lifecycle.Member, error) {
			return []lifecycle.Member{{Name: "guard", Service: g}}, nil
		},
		func(context.Context) ([]lifecycle.Member, error) { return members, nil })
}
