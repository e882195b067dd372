package bus

import (
	"sync"

	"github.com/nats-io/nats.go"
)

// requestBacklog is how many requests on a subject may wait for a free slot in this
// process; those after them are lost, and their askers ask again.
const requestBacklog = 1024

// Serve answers the requests on a subject, each in one process of the group, so many
// of them at once, until stop is called. It waits for those that were taken.
func Serve(nc *nats.Conn, subject, group string, slots int, handle func(*nats.Msg)) (stop func(), err error) {
	requests := make(chan *nats.Msg, requestBacklog)
	sub, err := nc.ChanQueueSubscribe(subject, group, requests)
	if err != nil {
		return nil, err
	}
	free := make(chan struct{}, slots)
	var work sync.WaitGroup
	work.Go(func() {
		for msg := range requests {
			free <- struct{}{}
			work.Go(func() {
				defer func() { <-free }()
				handle(msg)
			})
		}
	})
	return sync.OnceFunc(func() {
		sub.Unsubscribe() //nolint:errcheck // the connection may be gone
		close(requests)
		work.Wait()
	}), nil
}
