package main

import (
	"fmt"
	"runtime"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "dev"

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(e *env) error {
	if e.JSON {
		return e.printJSON(map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
	}
	fmt.Fprintf(e.out, "weir %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
