// Command notifier delivers webhooks.
package main

import (
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/notifier"
)

func main() {
	cfg := notifier.DefaultConfig()
	platform.Main("notifier", &cfg, func(p platform.Platform, cfg *notifier.Config) (lifecycle.Service, error) {
		return notifier.New(p, *cfg, notifier.Ports{Catalog: p.Catalog})
	})
}
