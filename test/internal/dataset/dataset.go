// Package dataset finds the data sets that tests and benchmarks read.
package dataset

import (
	"os"
	"path/filepath"
	"testing"
)

// Env names the folder with the data sets.
const Env = "WEIR_DATA"

// Dir returns that folder, by default shared/data beside the repository. Without
// it the test is skipped, saying so; with CI=true it fails.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(Env)
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = wd; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil || dir == filepath.Dir(dir) {
				break
			}
		}
		dir = filepath.Join(dir, "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "rag")); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the data sets are missing: set %s: %v", Env, err)
		}
		t.Skipf("SKIPPED, NOT MEASURED: the data sets are missing (set %s): %v", Env, err)
	}
	return dir
}
