package catalog

import (
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Tenant is what is agreed with one tenant.
type Tenant struct {
	ID string `yaml:"id,omitempty"`
	// Share weighs the tenant's tokens against other tenants'; 0 is 1.
	Share  float64 `yaml:"share,omitempty"`
	Budget *Budget `yaml:"budget,omitempty"`
	// Lanes, Models, Tasks and Collections are what its jobs may name; none allows all.
	// The models behind a task, and those that stand in for another, are the
	// operator's choice and not asked about.
	Lanes       []event.Lane `yaml:"lanes,omitempty"`
	Models      []string     `yaml:"models,omitempty"`
	Tasks       []string     `yaml:"tasks,omitempty"`
	Collections []string     `yaml:"collections,omitempty"`
	// Rate bounds the jobs that it submits over HTTP; zero is no bound.
	Rate Rate `yaml:"rate,omitempty"`
	// Queue bounds its jobs that wait, of a kind and lane; 0 leaves it at the
	// stream's bound.
	Queue int64 `yaml:"queue,omitempty"`
	// Keys open the HTTP API to it.
	Keys []Key `yaml:"keys,omitempty"`
	// NATS are the users that may connect as it.
	NATS []NATSUser `yaml:"nats,omitempty"`
	// Webhooks are told of its results.
	Webhooks Webhooks `yaml:"webhooks,omitempty"`
}

// Rate bounds submissions: so many a second, with a burst of that many, or of
// Burst.
type Rate struct {
	PerSecond float64 `yaml:"per_second,omitempty"`
	Burst     int     `yaml:"burst,omitempty"`
}

// Key is an API key, of which the hash is kept.
type Key struct {
	Name string `yaml:"name,omitempty"`
	// Prefix is the start of the key, by which it is found and shown.
	Prefix string `yaml:"prefix"`
	// Hash is the SHA-256 of the key, in hex: keys are random, so no slower one is
	// needed.
	Hash string `yaml:"hash"`
	// Scopes are what the key may do.
	Scopes []Scope `yaml:"scopes"`
	// Expires ends it; zero is never.
	Expires time.Time `yaml:"expires,omitempty"`
}

// Scope is something a caller may do.
type Scope string

// The scopes. Admin includes the others.
const (
	ScopeSubmit Scope = "submit" // submit and cancel jobs, upload files
	ScopeRead   Scope = "read"   // see jobs, results, documents
	ScopeAdmin  Scope = "admin"  // redrive dead letters, webhooks
)

// NATSUser is a user of the NATS server that acts for a tenant.
type NATSUser struct {
	User string `yaml:"user"`
	// Password is its bcrypt hash, NKey a public key (U...): one of them.
	Password string `yaml:"password,omitempty"`
	NKey     string `yaml:"nkey,omitempty"`
}

// Webhooks is where a tenant's results are sent and how they are signed.
type Webhooks struct {
	// Secrets sign (whsec_...), the first one first; two are active while one is
	// replaced by another.
	Secrets []string `yaml:"secrets,omitempty"`
	// Endpoints get every event they ask for.
	Endpoints []Endpoint `yaml:"endpoints,omitempty"`
}

// Endpoint is a receiver of webhooks.
type Endpoint struct {
	ID  string `yaml:"id"`
	URL string `yaml:"url"`
	// Events are the types it gets, such as job.failed; none gets those of jobs that
	// name it.
	Events []string `yaml:"events,omitempty"`
	// Concurrency bounds the deliveries to it at once; 0 is 4.
	Concurrency int `yaml:"concurrency,omitempty"`
}

// Allows reports whether the tenant may use lane, model, task and collection; what
// is "" is not asked about.
func (t *Tenant) Allows(lane event.Lane, model, task, collection string) error {
	for _, what := range []struct {
		field, name string
		of          []string
	}{{"model", model, t.Models}, {"task", task, t.Tasks}, {"collection", collection, t.Collections}} {
		if what.name != "" && len(what.of) > 0 && !slices.Contains(what.of, what.name) {
			return forbidden(what.field, what.name)
		}
	}
	if lane != "" && len(t.Lanes) > 0 && !slices.Contains(t.Lanes, lane) {
		return forbidden("lane", string(lane))
	}
	return nil
}

// Use is what a job or a question wants to use; what is "" is not asked about.
type Use struct {
	Lane       event.Lane
	Model      string // by id or alias
	Task       string
	Collection string
}

// Permits reports whether a tenant may use what u names: an error of ClassForbidden
// if it may not. What the catalog does not know is for others to refuse.
func (c *Catalog) Permits(tenant string, u Use) error {
	t := c.Tenant(tenant)
	if m, ok := c.Model(u.Model); ok {
		u.Model = m.ID
	}
	return t.Allows(u.Lane, u.Model, u.Task, u.Collection)
}

func forbidden(field, name string) error {
	return &event.Error{Class: event.ClassForbidden, Field: field, Message: "the tenant may not use " + name,
		Hint: "ask the operator to add it to the tenant's entry"}
}
