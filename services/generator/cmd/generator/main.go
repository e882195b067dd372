// Command generator runs the generator of the catalog's chat models.
package main

import (
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/generator"
)

func main() {
	cfg := generator.DefaultConfig()
	platform.Main("generator", &cfg, func(p platform.Platform, cfg *generator.Config) (lifecycle.Service, error) {
		return generator.New(p, *cfg, generator.Ports{Catalog: p.Catalog, Dial: openai.NewDialer(config.Env).Dial})
	})
}
