package main

import (
	"fmt"
	"strings"
)

// draw is a chart of utilisation and of calls answered 429, by case, as SVG. Its
// colours are readable on light and on dark ground.
func draw(found figures) string {
	names := []string{"w1", "w4", "w16", "w64", "noise", "crash", "static", "local", "naive"}
	const width, row, left, bar = 760, 26, 90, 260
	height := 60 + row*len(names) + 20
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="#888">`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="24">share of the provider's limit used</text><text x="%d" y="24">of 10,000 calls answered 429</text>`+"\n", left, left+bar+100)
	for i, name := range names {
		y := 44 + row*i
		colour := "#2a9d8f"
		if i >= 6 {
			colour = "#c9803c"
		}
		used, refused := found[name+".utilisation"], found[name+".per_10k_429"]
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-10, y+14, name)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/><text x="%.1f" y="%d">%.1f %%</text>`,
			left, y, used*bar, colour, float64(left)+used*bar+6, y+14, 100*used)
		part := refused / 10_000
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="16" fill="#c0392b"/><text x="%.1f" y="%d">%.0f</text>`+"\n",
			left+bar+100, y, part*200, float64(left+bar+100)+part*200+6, y+14, refused)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">w1 to crash: Weir with 1 to 64 workers, estimates 10 %% off, a worker killed every 20 s; 16 workers each: a divided limit, a limiter each, naive retries</text>`+"\n",
		10, height-8)
	b.WriteString("</svg>\n")
	return b.String()
}
