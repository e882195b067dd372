package gate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ground"
)

// Compiler compiles the gates of tasks, those in use once. It is safe for concurrent
// use.
type Compiler struct {
	checker *ground.Checker

	mu       sync.Mutex
	compiled map[[sha256.Size]byte]*Gate
}

// NewCompiler returns a Compiler without any gates yet.
func NewCompiler() *Compiler { return &Compiler{checker: ground.New()} }

// maxCompiled bounds the gates kept: a policy's change makes all anew.
const maxCompiled = 512

// Compile is the compiled form of g; nil accepts any answer. Its errors are those of
// [New].
func (c *Compiler) Compile(g *event.Gates) (*Gate, error) {
	if g == nil {
		g = &event.Gates{}
	}
	rest := *g // the large parts are not encoded again
	rest.Schema, rest.Calibration = nil, nil
	data, err := json.Marshal(rest)
	if err != nil {
		return nil, fmt.Errorf("encoding gates: %w", err)
	}
	key := sha256.Sum256(slices.Concat(data, g.Schema, g.Calibration))
	c.mu.Lock()
	found, ok := c.compiled[key]
	c.mu.Unlock()
	if ok {
		return found, nil
	}
	made, err := New(g, c.checker) // may take a while: others go on
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.compiled == nil || len(c.compiled) >= maxCompiled {
		c.compiled = map[[sha256.Size]byte]*Gate{}
	}
	c.compiled[key] = made
	return made, nil
}
