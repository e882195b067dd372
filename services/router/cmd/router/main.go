// Command router runs the router.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/router"
)

func main() {
	cfg := router.DefaultConfig()
	platform.Main("router", &cfg, func(p platform.Platform, cfg *router.Config) (lifecycle.Service, error) {
		store, err := router.Dial(*cfg)
		if err != nil {
			return nil, err
		}
		return router.New(p, *cfg, router.Ports{Catalog: p.Catalog, Store: store})
	})
}
