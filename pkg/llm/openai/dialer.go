package openai

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm"
)

var _ llm.Endpoint = (*Client)(nil)

// Dialer makes the clients of a catalog's models; those of one provider share its
// connections.
type Dialer struct {
	env func(string) string

	mu      sync.Mutex
	clients map[string]*http.Client
}

// NewDialer returns a dialer that finds the providers' keys with env.
func NewDialer(env func(string) string) *Dialer {
	return &Dialer{env: env, clients: map[string]*http.Client{}}
}

// Dial returns the client of a model. It does no I/O.
func (d *Dialer) Dial(p catalog.Provider, m catalog.Model) (llm.Endpoint, error) {
	key := ""
	if p.KeyEnv != "" {
		if key = d.env(p.KeyEnv); key == "" {
			return nil, fmt.Errorf("provider %s: the environment variable %s, which should hold its key, is empty", p.ID, p.KeyEnv)
		}
	}
	cfg := ConfigFor(p, m, key)
	d.mu.Lock()
	defer d.mu.Unlock()
	name := fmt.Sprint(p.ID, " ", cfg.MaxConnsPerHost)
	if d.clients[name] == nil {
		d.clients[name] = NewHTTPClient(cfg.MaxConnsPerHost)
	}
	cfg.HTTPClient = d.clients[name]
	return New(cfg)
}
