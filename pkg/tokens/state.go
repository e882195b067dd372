package tokens

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// stateVersion is the version of [State] this code writes and reads.
const stateVersion = 1

// State is all that a [Calibration] knows, as kept in a store. Its lists are
// sorted by their names.
type State struct {
	Version int      `json:"version"`
	Ratios  []Ratio  `json:"ratios"`
	Outputs []Output `json:"outputs"`
}

// Snapshot returns a copy of what is known.
func (c *Calibration) Snapshot() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{Version: stateVersion, Ratios: slices.Collect(maps.Values(c.ratios)), Outputs: slices.Collect(maps.Values(c.outputs))}
	for i := range s.Outputs {
		s.Outputs[i].Counts = maps.Clone(s.Outputs[i].Counts)
	}
	slices.SortFunc(s.Ratios, func(a, b Ratio) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.Kind, b.Kind))
	})
	slices.SortFunc(s.Outputs, func(a, b Output) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Model, b.Model))
	})
	return s
}

// Restore forgets all and takes s. A state that is wrong is refused as a whole.
func (c *Calibration) Restore(s State) error {
	if err := s.validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.ratios)
	clear(c.outputs)
	c.take(s)
	return nil
}

// Merge takes from s what is known there from more answers than here. So
// processes that merge with one another all come to know what the one that saw
// most does, and merging twice changes nothing. A state that is wrong is
// refused as a whole.
func (c *Calibration) Merge(s State) error {
	if err := s.validate(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.take(s)
	return nil
}

func (c *Calibration) take(s State) {
	for _, r := range s.Ratios {
		key := ratioKey{r.Model, r.Kind}
		if r.N > c.ratios[key].N {
			put(c.ratios, key, r)
		}
	}
	for _, o := range s.Outputs {
		key := outputKey{o.Tenant, o.Model}
		if o.N > c.outputs[key].N {
			o.Counts = maps.Clone(o.Counts)
			put(c.outputs, key, o)
		}
	}
}

// validate checks every figure a later estimate relies on.
func (s State) validate() error {
	if s.Version != stateVersion {
		return fmt.Errorf("tokens: version of the calibration is %d, want %d; let one version of Weir use it, or delete it to learn anew", s.Version, stateVersion)
	}
	for i, r := range s.Ratios {
		if r.N < 1 || r.Mean < minFactor || r.Mean > maxFactor || r.Var < 0 || r.Var > maxFactor*maxFactor {
			return fmt.Errorf("tokens: ratios[%d] of model %q has n %d, mean %v, var %v, want n >= 1, mean in %v..%v, var in 0..%v; delete the calibration to learn anew",
				i, r.Model, r.N, r.Mean, r.Var, minFactor, maxFactor, maxFactor*maxFactor)
		}
	}
	for i, o := range s.Outputs {
		if o.N < 1 || len(o.Counts) == 0 {
			return fmt.Errorf("tokens: outputs[%d] of model %q has n %d and %d counts, want at least 1 of each; delete the calibration to learn anew", i, o.Model, o.N, len(o.Counts))
		}
		for b, n := range o.Counts {
			if b < 0 || b > bucket(maxValue) || n < 1 || n > recentValues {
				return fmt.Errorf("tokens: outputs[%d].counts[%d] of model %q is %d, want a bucket in 0..%d and a count in 1..%d; delete the calibration to learn anew",
					i, b, o.Model, n, bucket(maxValue), recentValues)
			}
		}
	}
	return nil
}

func (r Ratio) lastSeen() int64  { return r.At }
func (o Output) lastSeen() int64 { return o.At }

// put sets m[key]. In a full m that takes the place of the cell seen least
// recently, if that is older.
func put[K comparable, V interface{ lastSeen() int64 }](m map[K]V, key K, cell V) {
	if _, known := m[key]; known || len(m) < maxCells {
		m[key] = cell
		return
	}
	oldest, at := key, cell.lastSeen()
	for k, v := range m {
		if v.lastSeen() <= at {
			oldest, at = k, v.lastSeen()
		}
	}
	if oldest != key {
		delete(m, oldest)
		m[key] = cell
	}
}
