// Command ingestor runs the ingestor.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/ingestor"
)

func main() {
	cfg := ingestor.DefaultConfig()
	platform.Main("ingestor", &cfg, func(p platform.Platform, cfg *ingestor.Config) (lifecycle.Service, error) {
		return ingestor.New(p, *cfg, ingestor.Dial(*cfg, p.Catalog))
	})
}
