// Command embedder runs the embedder of one model.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/embedder"
)

func main() {
	cfg := embedder.DefaultConfig()
	platform.Main("embedder", &cfg, func(p platform.Platform, cfg *embedder.Config) (lifecycle.Service, error) {
		ports, err := embedder.Dial(*cfg)
		if err != nil {
			return nil, err
		}
		return embedder.New(p, *cfg, ports)
	})
}
