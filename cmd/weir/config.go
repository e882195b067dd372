package main

import (
	"fmt"

	"github.com/weir-dev/weir/pkg/config"
)

type configCmd struct {
	Changed bool   `help:"Show only what the environment sets."`
	DataDir string `env:"WEIR_DATA_DIR" type:"path" help:"Data directory, as for weir up."`
}

// Run shows the configuration `weir up` would run with; secrets are hidden.
func (c *configCmd) Run(e *env) error {
	cfg, err := e.loadConfig(c.DataDir)
	if err != nil {
		return err
	}
	settings := []config.Setting{{Name: "WEIR_DATA_DIR", Value: cfg.DataDir, Set: c.DataDir != ""}}
	for _, s := range cfg.Sections() {
		settings = append(settings, config.Settings(s.Prefix, s.Config)...)
	}
	for _, s := range settings {
		if c.Changed && !s.Set {
			continue
		}
		if e.JSON {
			if err := e.printJSON(s); err != nil {
				return err
			}
			continue
		}
		value, mark := s.Value, " "
		if value == "" {
			value = "(embedded or none)"
		}
		if s.Set {
			mark = "*"
		}
		fmt.Fprintf(e.out, "%s %-38s %s\n", mark, s.Name, value)
	}
	return nil
}
