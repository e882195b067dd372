package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

type topCmd struct {
	File     string        `help:"Catalog file; without one, the default catalog." env:"WEIR_CATALOG" placeholder:"FILE"`
	Once     bool          `help:"Print one view and end."`
	Interval time.Duration `default:"2s" help:"Time from view to view; with --once the time over which rates are measured."`
}

// minInterval keeps the server from being asked all the time.
const minInterval = 100 * time.Millisecond

// Run shows the fleet until it is interrupted.
func (c *topCmd) Run(e *env) error {
	if c.Interval < minInterval {
		return coded(exitUsage, "--interval: got %s, want %s or more", c.Interval, minInterval)
	}
	models, err := readCatalog(c.File, "", time.Now())
	if err != nil {
		return err
	}
	return e.withBus(func(b *bus.Bus) error {
		return withHealth(e.ctx, b, func(h *guard.Health) error {
			return c.watch(e, &gauge{bus: b, catalog: models, health: h})
		})
	})
}

// watch shows a view each interval. The first one has no rates.
func (c *topCmd) watch(e *env, g *gauge) error {
	screen := newScreen(e)
	if !c.Once {
		screen.open()
		defer screen.close()
	}
	for first := true; ; first = false {
		view, err := g.read(e.ctx)
		switch {
		case e.ctx.Err() != nil:
			return nil
		case err != nil:
			return coded(exitUnreachable, "%w", err)
		case e.JSON && (!c.Once || !first):
			err = e.printJSON(view)
		case !c.Once || !first:
			err = screen.show(view)
		}
		if err != nil || c.Once && !first {
			return err
		}
		timer := time.NewTimer(c.Interval)
		select {
		case <-timer.C:
		case <-e.ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// screen is where views are shown: over one another on a terminal, one after the
// other elsewhere.
type screen struct {
	out      io.Writer
	fd       int
	terminal bool
}

func newScreen(e *env) *screen {
	s := &screen{out: e.out}
	if file, ok := e.out.(*os.File); ok && !e.JSON {
		s.fd = int(file.Fd()) //nolint:gosec // a file descriptor fits
		s.terminal = term.IsTerminal(s.fd)
	}
	return s
}

// What the screen does: another page without a cursor, and back; to the upper left;
// erase the rest of a line, and of the page.
const (
	otherPage  = "\x1b[?1049h\x1b[?25l"
	formerPage = "\x1b[?25h\x1b[?1049l"
	home       = "\x1b[H"
	eraseLine  = "\x1b[K"
	erasePage  = "\x1b[J"
)

func (s *screen) open() {
	if s.terminal {
		fmt.Fprint(s.out, otherPage)
	}
}

func (s *screen) close() {
	if s.terminal {
		fmt.Fprint(s.out, formerPage)
	}
}

// show prints a view, on a terminal as much of it as there is room for.
func (s *screen) show(v *view) error {
	var text strings.Builder
	if err := v.print(&text); err != nil {
		return err
	}
	if !s.terminal {
		_, err := fmt.Fprintln(s.out, text.String())
		return err
	}
	width, height, err := term.GetSize(s.fd)
	if err != nil {
		width, height = 80, 24
	}
	_, err = io.WriteString(s.out, page(text.String(), width, height))
	return err
}

// page is a text over a terminal's page: lines are cut at its width, and those beyond
// its height left out.
func page(text string, width, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var out strings.Builder
	out.WriteString(home)
	for i, line := range lines[:min(len(lines), max(height, 1))] {
		if i > 0 {
			out.WriteString("\r\n")
		}
		runes := []rune(line)
		out.WriteString(string(runes[:min(len(runes), max(width, 1))]) + eraseLine)
	}
	return out.String() + erasePage
}

// read looks at all that is shown.
func (g *gauge) read(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	v := &view{At: time.Now().UTC(), Providers: healthOf(g.health)}
	limits, err := readLimits(ctx, g.bus, g.catalog)
	if err != nil {
		return nil, err
	}
	for _, s := range limits {
		v.Limits = append(v.Limits, limitView{Status: s})
	}
	if err := g.queues(ctx, v); err != nil {
		return nil, err
	}
	if err := g.results(ctx, v); err != nil {
		return nil, err
	}
	return v, g.spending(ctx, v)
}
