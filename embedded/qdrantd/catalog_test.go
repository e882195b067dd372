package qdrantd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
)

// reopen opens a catalog, which the caller closes.
func reopen(t *testing.T, dir string) *catalog {
	t.Helper()
	c, err := openCatalog(dir, time.Second)
	if err != nil {
		t.Fatalf("open catalog: %v", err)
	}
	return c
}

// TestLeftoversAreRemoved opens a directory as a crash between creating a file
// and listing it leaves it. Files the catalog never knew stay.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := reopen(t, dir)
	if err := c.put(bucketPending, "c-half.db", ""); err != nil {
		t.Fatalf("mark: %v", err)
	}
	if err := c.close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "snapshots", "c"), 0o700); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join("snapshots", "c", ".tmp-123")
	for _, name := range []string{"c-half.db", "c-foreign.db", torn} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := reopen(t, dir).close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	for _, name := range []string{"c-half.db", torn} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("the leftover %s is still there: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "c-foreign.db")); err != nil {
		t.Errorf("a file of somebody else was removed: %v", err)
	}
}

// TestMissingFileIsAnError: an empty collection must not take the place of one
// whose file is gone.
func TestMissingFileIsAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := reopen(t, dir)
	err := c.create(&pb.CreateCollection{CollectionName: "docs"})
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	file := filepath.Join(dir, c.collections["docs"].file)
	if err := c.close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := openCatalog(dir, time.Second); err == nil || !strings.Contains(err.Error(), "docs") {
		t.Errorf("error %v, want one that names the collection", err)
	}
}
