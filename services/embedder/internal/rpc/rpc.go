// Package rpc answers requests over NATS for query vectors (event.EmbedRPC) and for
// reranking (event.RerankRPC). Each request is answered once, by one of the
// processes that serve its subject. Who asks hears each second that the answer is
// still to come.
package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
)

const (
	// group shares the requests out among the processes.
	group = "embedder"
	// workers is how many requests of a subject are in work at once. They mostly
	// wait for a call that they share.
	workers = 256
	// signEvery is how often somebody who waits gets a sign of life.
	signEvery = time.Second
)

// server answers the requests on one subject.
type server struct {
	nc      *nats.Conn
	subject string
	// timeout bounds the work on one request.
	timeout time.Duration
	// sign is the reply that says that the answer is still to come.
	sign any
	// answer returns the reply.
	answer func(ctx context.Context, data []byte) any
}

// start serves until the returned function is called, which waits for the requests
// taken.
func (s *server) start() (stop func(), err error) {
	sign, err := json.Marshal(s.sign)
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", s.subject, err)
	}
	stop, err = bus.Serve(s.nc, s.subject, group, workers, func(msg *nats.Msg) { s.reply(msg, sign) })
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", s.subject, err)
	}
	return stop, nil
}

func (s *server) reply(msg *nats.Msg, sign []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	ended := make(chan struct{})
	var signs sync.WaitGroup
	signs.Go(func() {
		tick := time.NewTicker(signEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				msg.Respond(sign) //nolint:errcheck // the asker asks again
			case <-ended:
				return
			}
		}
	})
	reply := s.answer(ctx, msg.Data)
	close(ended)
	signs.Wait() // nothing comes after the answer
	data, err := json.Marshal(reply)
	if err != nil {
		return // cannot happen: finite numbers and texts only
	}
	msg.Respond(data) //nolint:errcheck // the asker's timeout tells it
}
