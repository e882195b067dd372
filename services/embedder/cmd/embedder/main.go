// Command embedder runs the embedder of one model.
package main

import (
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/embedder"
)

func main() {
	cfg := embedder.DefaultConfig()
	platform.Main("embedder", &cfg, func(p platform.Platform, cfg *embedder.Config) (lifecycle.Service, error) {
		store, err := embedder.DialStore(*cfg)
		if err != nil {
			return nil, err
		}
		return embedder.New(p, *cfg, embedder.Ports{Catalog: p.Catalog, Dial: openai.NewDialer(config.Env).Dial, Store: store})
	})
}
