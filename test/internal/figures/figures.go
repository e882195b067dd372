// Package figures holds what a benchmark found.
package figures

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Figures are what a benchmark found, by name.
type Figures map[string]float64

// Print shows the figures, one a line, sorted by name.
func (f Figures) Print() {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		fmt.Printf("%-32s %.5g\n", name, f[name])
	}
}

// Write writes the figures to a JSON file, flat, and makes its folder.
func (f Figures) Write(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing figures: %w", err)
	}
	return nil
}

// Quantile is the value below which a share q of the sorted values lies.
func Quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Median sorts the values and returns the one in the middle.
func Median(values []float64) float64 {
	slices.Sort(values)
	return Quantile(values, 0.5)
}
