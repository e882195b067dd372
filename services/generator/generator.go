// Package generator runs one attempt of one model for a task: it streams the
// answer's pieces while they arrive and stores the result. It holds no policy:
// which model, which prompt and what follows a failure is decided elsewhere.
package generator

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// Service is the generator of one model.
type Service struct {
	cfg     Config
	p       platform.Platform
	bus     *bus.Bus
	chat    llm.Chat
	metrics *metrics
	runner  *stage.Runner
}

// Dial returns the model endpoint cfg names. It does no I/O.
func Dial(cfg Config) (llm.Chat, error) {
	client, err := openai.New(openai.Config{
		BaseURL: cfg.ProviderURL, APIKey: cfg.ProviderKey.Reveal(), MaxTokensField: cfg.MaxTokensField,
		Timeouts:        openai.Timeouts{FirstToken: cfg.FirstTokenTimeout, Idle: cfg.IdleTimeout, Total: cfg.CallTimeout},
		MaxConnsPerHost: cfg.InteractiveSlots + cfg.BatchSlots,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up the provider: %w", err)
	}
	return client, nil
}

// New returns a generator that calls chat. It does no I/O.
func New(p platform.Platform, cfg Config, chat llm.Chat) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p = p.WithDefaults()
	b, err := bus.New(p.NATS)
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, p: p, bus: b, chat: chat, metrics: newMetrics(p.Registerer)}
	runner := cfg.Stage("generator", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.GenerateConsumer(cfg.Model, lane, fleet)
	})
	runner.Timeout = cfg.CallTimeout
	s.runner, err = stage.New(runner, b, stage.HandlerFunc(s.attempt), p)
	return s, err
}

// Ready is closed when the generator takes tasks.
func (s *Service) Ready() <-chan struct{} { return s.runner.Ready() }

// Run takes tasks until ctx ends, and lets go of the provider's connections then.
func (s *Service) Run(ctx context.Context) error {
	if provider, ok := s.chat.(interface{ Close() }); ok {
		defer provider.Close()
	}
	return s.runner.Run(ctx)
}
