package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/tenant"
)

// Files in the data directory.
const (
	// TenantsFile is the tenants file that is used when it exists and no other is named.
	TenantsFile = "tenants.yaml"
	// OperatorFile holds, while Weir runs, the address of its NATS with the password
	// of the operator.
	OperatorFile = "nats-url"

	passwordFile = "nats-password"
)

// checkOpen refuses to serve other machines where nobody is asked for a key.
func (c *Config) checkOpen() error {
	if c.Process.Tenants != "" {
		return nil
	}
	addrs := map[string]string{"the HTTP API": c.Gateway.Addr}
	if c.Process.NatsURL == "" {
		addrs["NATS"] = c.NatsAddr
	}
	for what, addr := range addrs {
		if addr != "" && !tenant.IsLoopback(addr) {
			return fmt.Errorf("%s would listen on %s, which other machines may reach, and nobody is asked for a key: "+
				"make a tenant with `weir tenant add NAME`, or name a tenants file in WEIR_TENANTS, or listen on 127.0.0.1", what, addr)
		}
	}
	return nil
}

// guarded adds accounts to the embedded NATS where there are tenants: at first only
// that of the services.
func (r *runner) guarded(cfg natsd.Config) (natsd.Config, error) {
	if r.cfg.Process.Tenants == "" {
		return cfg, nil
	}
	password, err := password(r.cfg.DataDir)
	if err != nil {
		return cfg, err
	}
	r.password = password
	cfg.Accounts = tenant.NATSConfig(nil, password)
	cfg.Service = natsd.User{Account: tenant.ServiceAccount, Name: catalog.ServiceUser, Password: password}
	return cfg, nil
}

// password is that of the service user: made once, kept for the owner's eyes.
func password(dir string) (string, error) {
	path := filepath.Join(dir, passwordFile)
	data, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(data)); err == nil && text != "" {
		return text, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the password of NATS: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("creating data directory: %w", err)
	}
	made := tenant.NewPassword()
	return made, writePrivate(path, made)
}

// writePrivate writes a file that its owner alone can read.
func writePrivate(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have another mode
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// tellOperator writes the address of the embedded NATS for the commands of who runs
// Weir, which are asked for a password as everybody else is.
func (r *runner) tellOperator() error {
	if r.password == "" || r.nats.URL() == "" {
		return nil
	}
	u, err := url.Parse(r.nats.URL())
	if err != nil {
		return fmt.Errorf("reading the address of NATS: %w", err)
	}
	u.User = url.UserPassword(catalog.ServiceUser, r.password)
	r.told = filepath.Join(r.cfg.DataDir, OperatorFile)
	return writePrivate(r.told, u.String())
}

// accounts keeps those of the embedded NATS as the tenants file says.
type accounts struct {
	server   *natsd.Server
	tenants  *catalog.Watcher
	password string
	log      *slog.Logger
	ready    chan struct{}
}

// Ready is closed when the tenants' users may connect.
func (a *accounts) Ready() <-chan struct{} { return a.ready }

// Run follows the file until ctx ends. What the server can't be told at the start is
// an error; later it keeps the users that it has.
func (a *accounts) Run(ctx context.Context) error {
	for first := true; ; first = false {
		changed := a.tenants.Changed()
		err := a.server.SetAccounts(tenant.NATSConfig(a.tenants.Current().Tenants, a.password))
		switch {
		case first && err != nil:
			return fmt.Errorf("users of NATS (WEIR_TENANTS): %w", err)
		case first:
			close(a.ready)
		case err != nil:
			a.log.ErrorContext(ctx, "the users of NATS stay as they were", "error", err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}
