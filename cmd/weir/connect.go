package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
)

// withClient runs fn with a client on a connection of its own.
func (e *env) withClient(fn func(*client.Client) error) error {
	return e.connected(func(nc *nats.Conn) error {
		c, err := client.New(nc)
		if err != nil {
			return err
		}
		return fn(c)
	})
}

// withBus runs fn with a bus on a connection of its own.
func (e *env) withBus(fn func(*bus.Bus) error) error {
	return e.connected(func(nc *nats.Conn) error {
		b, err := bus.New(nc)
		if err != nil {
			return err
		}
		return fn(b)
	})
}

// connected runs fn with a connection, or says how to start what is missing.
func (e *env) connected(fn func(*nats.Conn) error) error {
	address := cmp.Or(e.NatsURL, operatorURL(), nats.DefaultURL)
	shown := platform.Redacted(address)
	opts := []nats.Option{
		nats.Name("weir-cli"), nats.Timeout(5 * time.Second), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: closed by us
				fmt.Fprintf(e.err, "weir: lost the NATS server at %s (%v); waiting for it\n", shown, err)
			}
		}),
	}
	if e.NatsCreds != "" {
		opts = append(opts, nats.UserCredentials(e.NatsCreds))
	}
	nc, err := nats.Connect(address, opts...)
	if err != nil {
		return coded(exitUnreachable, "no NATS server at %s: %w; start Weir with `weir up`, or set --nats-url", shown, err)
	}
	defer nc.Close()
	return fn(nc)
}

// operatorURL is the address, with a password, that a Weir with tenants leaves for
// who runs it; "" when none runs on this machine for this user.
func operatorURL() string {
	dir, err := dataDirOf(os.Getenv("WEIR_DATA_DIR"))
	if err != nil {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(dir, up.OperatorFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// withTimeout bounds a command's wait; 0 waits for ever.
func (e *env) withTimeout(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(e.ctx)
	}
	return context.WithTimeout(e.ctx, timeout)
}

// waitError says what a wait that ended without a result means.
func waitError(err error, job string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitTimeout, "job %s has no result yet; ask later with `weir result %s`", job, job)
	case errors.Is(err, context.Canceled):
		return coded(exitError, "interrupted; job %s goes on: ask with `weir result %s`", job, job)
	}
	return err
}

// awaitJob waits for a job; a failed one is an error as well.
func awaitJob(ctx context.Context, cl *client.Client, tenant, id string) (event.Result, error) {
	result, err := cl.Await(ctx, tenant, id)
	if err != nil {
		return result, waitError(err, id)
	}
	return result, jobError(result)
}

// jobError is the error of a failed job, nil of any other.
func jobError(r event.Result) error {
	if r.Status != event.StatusFailed {
		return nil
	}
	return coded(exitJobFailed, "job %s failed: %w", r.ID, r.Error)
}

// printJSON prints one value a line.
func (e *env) printJSON(value any) error {
	if err := json.NewEncoder(e.out).Encode(value); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

// printLines prints values as JSON, one a line.
func printLines[T any](e *env, list []T) error {
	for _, v := range list {
		if err := e.printJSON(v); err != nil {
			return err
		}
	}
	return nil
}

// table prints the cells that fill writes, separated by tabs, in columns; what
// names them in errors.
func (e *env) table(what string, fill func(w io.Writer)) error {
	w := tabwriter.NewWriter(harmless{e.out}, 0, 0, 2, ' ', 0)
	fill(w)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing %s: %w", what, err)
	}
	return nil
}

// harmless shows control characters, with which what tenants wrote could steer the
// terminal, as question marks; lines stay lines.
type harmless struct{ w io.Writer }

// Write implements io.Writer.
func (h harmless) Write(p []byte) (int, error) {
	shown := bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, p)
	if _, err := h.w.Write(shown); err != nil {
		return 0, err
	}
	return len(p), nil
}
