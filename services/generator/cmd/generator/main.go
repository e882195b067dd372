// Command generator runs the generator of one model.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/generator"
)

func main() {
	cfg := generator.DefaultConfig()
	platform.Main("generator", &cfg, func(p platform.Platform, cfg *generator.Config) (lifecycle.Service, error) {
		chat, err := generator.Dial(*cfg)
		if err != nil {
			return nil, err
		}
		return generator.New(p, *cfg, chat)
	})
}
