package tenant

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
)

// ServiceAccount is the account of Weir's own processes on a NATS server where
// tenants have accounts too: the one that has the streams.
const ServiceAccount = "WEIR"

// NewNATSUser makes a user of the NATS server with a password, to be shown once.
func NewNATSUser(name string) (password string, user catalog.NATSUser, err error) {
	password = random(secretLen)
	// A random password needs no slow hash: what it costs is paid at every connect.
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", catalog.NATSUser{}, fmt.Errorf("hashing a password: %w", err)
	}
	return password, catalog.NATSUser{User: name, Password: string(hash)}, nil
}

// NewPassword is a random password of letters and digits.
func NewPassword() string { return random(secretLen) }

// share is what a tenant's account has of the account of Weir.
type share struct {
	kind    string // service: it may ask and send; stream: it may subscribe
	subject string // with one * in the place of the tenant
	all     string // the subject of all tenants
}

// shares lists what is shared with the account of a tenant. Everything else does not
// exist there.
//
// Tenants have accounts of their own, and not only users with permissions, because a
// user chooses where the answer to a request goes, and the server does not ask whether
// it may publish there: a stream's answer to a tenant could be sent to another
// tenant's subject, even to be stored as its result. Between accounts an answer goes
// nowhere but back.
func shares(tenant string) []share {
	direct := func(stream, view string) share {
		subject := "$JS.API.DIRECT.GET." + stream + "." + view + "."
		return share{"service", subject + tenant + ".*", subject + "*.*"}
	}
	view := func(name string) share { return share{"stream", name + "." + tenant + ".>", name + ".*.>"} }
	return []share{
		{"service", "weir.jobs.*.*." + tenant, "weir.jobs.*.*.*"},
		{"service", "weir.rpc.query." + tenant, "weir.rpc.query.*"},
		direct(bus.StreamResults, "weir.results"), direct(bus.StreamEvents, "weir.events"), direct(bus.StreamTokens, "weir.tokens"),
		view("weir.results"), view("weir.events"), view("weir.tokens"), view("weir.live"),
	}
}

// PasswordFromEnv leaves the password of the service user to the environment of the
// NATS server.
const PasswordFromEnv = "$WEIR_NATS_PASSWORD"

// NATSConfig is the part of a nats-server's configuration that makes accounts: that
// of Weir with its service user, which has the streams and may do anything, and one
// for each tenant that has users. service is the password of the service user, or
// PasswordFromEnv.
func NATSConfig(tenants []catalog.Tenant, service string) string {
	var b strings.Builder
	if service != PasswordFromEnv {
		service = fmt.Sprintf("%q", service)
	}
	fmt.Fprintf(&b, "accounts {\n  %s {\n    jetstream: enabled\n    users: [{user: %q, password: %s}]\n    exports: [\n", ServiceAccount, catalog.ServiceUser, service)
	for _, s := range shares("*") {
		fmt.Fprintf(&b, "      {%s: %q}\n", s.kind, s.all)
	}
	b.WriteString("    ]\n  }\n")
	for i := range tenants {
		if t := &tenants[i]; len(t.NATS) > 0 {
			account(&b, t)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// account writes that of a tenant. Its users' permissions only keep them from using
// the server for anything else: the wall is the account.
func account(b *strings.Builder, t *catalog.Tenant) {
	var publish, subscribe []string
	fmt.Fprintf(b, "  tenant-%s {\n    imports: [\n", t.ID)
	for _, s := range shares(t.ID) {
		fmt.Fprintf(b, "      {%s: {account: %s, subject: %q}}\n", s.kind, ServiceAccount, s.subject)
		if s.kind == "service" {
			publish = append(publish, s.subject)
		} else {
			subscribe = append(subscribe, s.subject)
		}
	}
	subscribe = append(subscribe, "_INBOX.>", "_INBOX_"+t.ID+".>")
	b.WriteString("    ]\n    users: [\n")
	for _, u := range t.NATS {
		if u.NKey != "" {
			fmt.Fprintf(b, "      {nkey: %q}\n", u.NKey)
		} else {
			fmt.Fprintf(b, "      {user: %q, password: %q}\n", u.User, u.Password)
		}
	}
	fmt.Fprintf(b, "    ]\n    default_permissions: {\n      publish: {allow: [%s]}\n      subscribe: {allow: [%s]}\n    }\n  }\n", quoted(publish), quoted(subscribe))
}

func quoted(subjects []string) string {
	out := make([]string, len(subjects))
	for i, s := range subjects {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}
