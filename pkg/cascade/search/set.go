package search

import (
	"maps"
	"slices"
)

// pool lists the models to choose from, sorted by name.
func pool[V any](there map[string]V, wanted []string) []string {
	names := slices.Sorted(maps.Keys(there))
	if len(wanted) == 0 {
		return names
	}
	return slices.DeleteFunc(names, func(name string) bool { return !slices.Contains(wanted, name) })
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}
