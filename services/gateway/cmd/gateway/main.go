// Command gateway runs the HTTP API.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway"
)

func main() {
	cfg := gateway.DefaultConfig()
	platform.Main("gateway", &cfg, func(p platform.Platform, cfg *gateway.Config) (lifecycle.Service, error) {
		return gateway.New(p, *cfg, gateway.Ports{Catalog: p.Catalog, Auth: tenant.Of(tenant.Config{Source: p.Catalog, Now: p.Now})})
	})
}
