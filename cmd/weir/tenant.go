package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/tenant"
)

// tenantCmd changes the tenants file; it needs no running Weir, and a running one
// follows within seconds.
type tenantCmd struct {
	Add tenantAddCmd `cmd:"" help:"Add a tenant, with an API key and a NATS user."`
	Ls  tenantLsCmd  `cmd:"" help:"List the tenants with the starts of their keys."`
	Key tenantKeyCmd `cmd:"" help:"Add another key to a tenant, to replace one that stays valid meanwhile."`
	Rm  tenantRmCmd  `cmd:"" help:"Remove a tenant's entry; what it stored stays."`
}

// tenantsFile is where the tenants are, and what they are checked with.
type tenantsFile struct {
	File     string `env:"WEIR_TENANTS" type:"path" placeholder:"FILE" help:"Tenants file (default: tenants.yaml in the data directory)."`
	DataDir  string `env:"WEIR_DATA_DIR" type:"path" help:"Data directory, as for weir up."`
	Catalog  string `env:"WEIR_CATALOG" placeholder:"FILE" help:"Catalog file to check with."`
	Policies string `env:"WEIR_POLICIES" placeholder:"FILE" help:"Policies file to check with."`
}

func (t *tenantsFile) open() (*tenant.File, string, error) {
	path := t.File
	if path == "" {
		dir, err := dataDirOf(t.DataDir)
		if err != nil {
			return nil, "", err
		}
		path = filepath.Join(dir, up.TenantsFile)
	}
	f, err := tenant.OpenFile(path)
	return f, path, err
}

// write checks the whole file and puts it in place. With natsConf it writes the
// configuration of a NATS server of one's own too.
func (t *tenantsFile) write(f *tenant.File, path, natsConf string) error {
	c, err := readCatalog(t.Catalog, t.Policies, time.Now())
	if err != nil {
		return err
	}
	if c, err = c.WithTenants(f.Text()); err != nil {
		return coded(exitUsage, "%s is not valid:\n%w", path, err)
	}
	if err := f.Write(); err != nil || natsConf == "" {
		return err
	}
	if err := os.WriteFile(natsConf, []byte(tenant.NATSConfig(c.Tenants, tenant.PasswordFromEnv)), 0o600); err != nil {
		return fmt.Errorf("writing the configuration of NATS: %w", err)
	}
	return nil
}

// made is what a command tells once: the secrets are nowhere else.
type made struct {
	Tenant       string `json:"tenant"`
	Key          string `json:"key"`
	NATSUser     string `json:"nats_user,omitempty"`
	NATSPassword string `json:"nats_password,omitempty"`
	NATSURL      string `json:"nats_url,omitempty"`
	File         string `json:"file"`
}

type tenantAddCmd struct {
	tenantsFile
	Name     string          `arg:"" help:"The tenant's id."`
	Scopes   []catalog.Scope `default:"submit,read" enum:"submit,read,admin" help:"What the key may do."`
	Expires  time.Duration   `placeholder:"DURATION" help:"End the key after this time (default: never)."`
	NATS     bool            `name:"nats" default:"true" negatable:"" help:"Make a NATS user."`
	NATSConf string          `name:"nats-conf" type:"path" placeholder:"FILE" help:"Write the accounts for a NATS server of your own, to be included in its configuration."`
}

// Run adds a tenant.
func (c *tenantAddCmd) Run(e *env) error {
	f, path, err := c.open()
	if err != nil {
		return err
	}
	out := made{Tenant: c.Name, File: path}
	t := catalog.Tenant{ID: c.Name}
	secret, key := newKey("", c.Scopes, c.Expires)
	out.Key, t.Keys = secret, []catalog.Key{key}
	if c.NATS {
		password, user, err := tenant.NewNATSUser(c.Name)
		if err != nil {
			return err
		}
		t.NATS = []catalog.NATSUser{user}
		out.NATSUser, out.NATSPassword, out.NATSURL = user.User, password, e.natsURLOf(user.User, password)
	}
	if err := f.Add(t); err != nil {
		return err
	}
	if err := c.write(f, path, c.NATSConf); err != nil {
		return err
	}
	return e.told(out)
}

func newKey(name string, scopes []catalog.Scope, expires time.Duration) (string, catalog.Key) {
	secret, key := tenant.NewKey(name, scopes)
	if expires > 0 {
		key.Expires = time.Now().Add(expires).UTC().Truncate(time.Second)
	}
	return secret, key
}

// natsURLOf is the address of NATS for a user, as far as it is known here.
func (e *env) natsURLOf(user, password string) string {
	address := cmp.Or(e.NatsURL, operatorURL(), nats.DefaultURL)
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = url.UserPassword(user, password)
	return u.String()
}

// told prints what was made.
func (e *env) told(m made) error {
	if e.JSON {
		return e.printJSON(m)
	}
	fmt.Fprintf(e.out, "Tenant %s in %s. This is shown once:\n  API key  %s\n", m.Tenant, m.File, m.Key)
	if m.NATSUser != "" {
		fmt.Fprintf(e.out, "  NATS     %s\n", m.NATSURL)
	}
	fmt.Fprintln(e.out, "A Weir that runs with this file takes it within seconds; one that was started without needs a restart.")
	return nil
}

type tenantKeyCmd struct {
	tenantsFile
	Name    string          `arg:"" help:"The tenant's id."`
	Label   string          `help:"A name for the key, shown in lists."`
	Scopes  []catalog.Scope `default:"submit,read" enum:"submit,read,admin" help:"What the key may do."`
	Expires time.Duration   `placeholder:"DURATION" help:"End the key after this time (default: never)."`
}

// Run adds a key.
func (c *tenantKeyCmd) Run(e *env) error {
	f, path, err := c.open()
	if err != nil {
		return err
	}
	secret, key := newKey(c.Label, c.Scopes, c.Expires)
	if err := f.AddKey(c.Name, key); err != nil {
		return err
	}
	if err := c.write(f, path, ""); err != nil {
		return err
	}
	return e.told(made{Tenant: c.Name, Key: secret, File: path})
}

type tenantLsCmd struct{ tenantsFile }

// tenantLine is one tenant as weir tenant ls prints it.
type tenantLine struct {
	Tenant string    `json:"tenant"`
	Keys   []keyLine `json:"keys"`
	NATS   []string  `json:"nats_users"`
}

type keyLine struct {
	Prefix  string          `json:"prefix"`
	Name    string          `json:"name,omitempty"`
	Scopes  []catalog.Scope `json:"scopes"`
	Expires time.Time       `json:"expires,omitzero"`
}

// Run lists the tenants.
func (c *tenantLsCmd) Run(e *env) error {
	f, _, err := c.open()
	if err != nil {
		return err
	}
	var list []tenantLine
	for _, t := range f.Tenants() {
		l := tenantLine{Tenant: t.ID, Keys: []keyLine{}, NATS: []string{}}
		for _, k := range t.Keys {
			l.Keys = append(l.Keys, keyLine{k.Prefix, k.Name, k.Scopes, k.Expires})
		}
		for _, u := range t.NATS {
			l.NATS = append(l.NATS, cmp.Or(u.User, u.NKey))
		}
		list = append(list, l)
	}
	if e.JSON {
		return printLines(e, list)
	}
	return e.table("the tenants", func(w io.Writer) {
		fmt.Fprintln(w, "TENANT\tKEY\tNAME\tSCOPES\tEXPIRES\tNATS USERS")
		for _, l := range list {
			l.print(w)
		}
	})
}

// print writes a line for each key, the tenant's other facts with the first.
func (l *tenantLine) print(w io.Writer) {
	users := cmp.Or(strings.Join(l.NATS, ", "), "-")
	if len(l.Keys) == 0 {
		fmt.Fprintf(w, "%s\t-\t-\t-\t-\t%s\n", l.Tenant, users)
	}
	for i, k := range l.Keys {
		name, expires, scopes := l.Tenant, "never", make([]string, len(k.Scopes))
		if i > 0 {
			name, users = "", ""
		}
		if !k.Expires.IsZero() {
			expires = k.Expires.Format(time.RFC3339)
		}
		for j, s := range k.Scopes {
			scopes[j] = string(s)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, k.Prefix, cmp.Or(k.Name, "-"), strings.Join(scopes, ","), expires, users)
	}
}

type tenantRmCmd struct {
	tenantsFile
	Name     string `arg:"" help:"The tenant's id."`
	NATSConf string `name:"nats-conf" type:"path" placeholder:"FILE" help:"Write the accounts for a NATS server of your own."`
}

// Run removes a tenant.
func (c *tenantRmCmd) Run(e *env) error {
	f, path, err := c.open()
	if err != nil {
		return err
	}
	if err := f.Remove(c.Name); err != nil {
		return err
	}
	if err := c.write(f, path, c.NATSConf); err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(map[string]string{"tenant": c.Name, "file": path})
	}
	fmt.Fprintf(e.out, "Tenant %s is removed from %s: its keys are refused and its NATS users cut off within seconds.\n", c.Name, path)
	return nil
}
