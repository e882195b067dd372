package main

import (
	"context"
	"fmt"
)

// server is one of Weir's embedded servers.
type server interface {
	Run(ctx context.Context) error
	Ready() <-chan struct{}
}

// serve runs use while srv serves.
func serve(ctx context.Context, srv server, use func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	select {
	case <-srv.Ready():
	case err := <-done:
		return fmt.Errorf("the server ended before it was ready: %w", err)
	}
	err := use()
	cancel()
	if stopped := <-done; err == nil && stopped != nil {
		return fmt.Errorf("stopping the server: %w", stopped)
	}
	return err
}
