package tenant_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

func open(t *testing.T, path string) *tenant.File {
	t.Helper()
	f, err := tenant.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func member(t *testing.T, id string) catalog.Tenant {
	t.Helper()
	_, key := tenant.NewKey("first", []catalog.Scope{catalog.ScopeSubmit, catalog.ScopeRead})
	_, user, err := tenant.NewNATSUser(id)
	if err != nil {
		t.Fatal(err)
	}
	return catalog.Tenant{ID: id, Keys: []catalog.Key{key}, NATS: []catalog.NATSUser{user}}
}

// TestFile: what is added and removed is what is read again, and the file is private.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "made", "tenants.yaml")
	f := open(t, path)
	for _, id := range []string{"acme", "bravo", "123"} {
		if err := f.Add(member(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	_, second := tenant.NewKey("second", []catalog.Scope{catalog.ScopeAdmin})
	second.Expires = time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	if err := f.AddKey("bravo", second); err != nil {
		t.Fatal(err)
	}
	if err := f.Remove("acme"); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again := open(t, path)
	bravo, err := again.Find("bravo")
	if err != nil || len(again.Tenants()) != 2 || len(bravo.Keys) != 2 || bravo.Keys[1].Hash != second.Hash || !bravo.Keys[1].Expires.Equal(second.Expires) {
		t.Errorf("read again: %+v, %v", again.Tenants(), err)
	}
	if _, err := (&catalog.Catalog{}).WithTenants(again.Text()); err != nil {
		t.Errorf("the file is not valid: %v\n%s", err, again.Text())
	}
	for _, id := range []string{"bravo", "123"} {
		if err := again.Remove(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := again.Add(member(t, "acme")); err != nil || len(again.Tenants()) != 1 {
		t.Errorf("after the last one was removed: %v\n%s", err, again.Text())
	}
}

// TestFileKeepsWhatPeopleWrote: comments, order and style of all that is not changed.
func TestFileKeepsWhatPeopleWrote(t *testing.T) {
	t.Parallel()
	const text = `# ours
version: 1
oidc: {issuer: "https://login.example.com", audience: weir}
tenants:
  # the big one
  - id: acme
    share: 2 # since May
    budget: {usd: "12.50", period: month}
  - id: bravo # small
    lanes: [batch]
`
	path := filepath.Join(t.TempDir(), "tenants.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	_, key := tenant.NewKey("", []catalog.Scope{catalog.ScopeRead})
	if err := f.AddKey("acme", key); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(member(t, "charlie")); err != nil {
		t.Fatal(err)
	}
	got := string(f.Text())
	for _, want := range []string{"# ours", "# the big one", "# since May", `budget: {usd: "12.50", period: month}`, "- id: bravo # small", "id: charlie", key.Prefix} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if err := f.Remove("acme"); err != nil {
		t.Fatal(err)
	}
	if got := string(f.Text()); strings.Contains(got, "acme") || !strings.Contains(got, "# small") {
		t.Errorf("after removing acme:\n%s", got)
	}
}

func TestFileMistakes(t *testing.T) {
	t.Parallel()
	f := open(t, filepath.Join(t.TempDir(), "tenants.yaml"))
	if err := f.Add(catalog.Tenant{ID: "a.b"}); event.AsError(err) == nil || event.AsError(err).Class != event.ClassInvalid {
		t.Errorf("got %v", err)
	}
	if err := f.Add(member(t, "acme")); err != nil {
		t.Fatal(err)
	}
	if err := f.Add(member(t, "acme")); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("got %v", err)
	}
	for _, err := range []error{f.Remove("nobody"), f.AddKey("nobody", catalog.Key{})} {
		if err == nil || !strings.Contains(err.Error(), `no tenant "nobody"`) {
			t.Errorf("got %v", err)
		}
	}
}
