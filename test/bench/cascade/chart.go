package main

import (
	"fmt"
	"strings"

	"github.com/weir-dev/weir/test/internal/figures"
)

// draw is two charts as SVG: what is saved at which change of quality, by
// strategy, and how well routers order questions beside RouteLLM's best. Its
// colours are readable on light and on dark ground.
func draw(found figures.Figures) string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 640" font-family="sans-serif" font-size="13" fill="#888">` + "\n")
	plane(&b, found, 0, "table2", "2 models")
	plane(&b, found, 380, "table6", "6 models")
	bars(&b, found)
	b.WriteString("</svg>\n")
	return b.String()
}

// plane draws saving (right) over change of quality (up) of one pool.
func plane(b *strings.Builder, found figures.Figures, left int, pool, title string) {
	const width, height, top, low, high = 300, 260, 50, -2.5, 1.0
	x := func(saving float64) float64 { return float64(left+50) + saving*width/0.8 }
	y := func(dq float64) float64 { return top + (high-dq)/(high-low)*height }
	fmt.Fprintf(b, `<text x="%d" y="24">five tasks, %s: cost saved and change of quality, in points</text>`+"\n", left+10, title)
	for _, dq := range []float64{-2, -1, 0, 1} {
		fmt.Fprintf(b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#888" stroke-opacity="0.3"/><text x="%d" y="%.1f" text-anchor="end">%+g</text>`+"\n",
			left+50, left+50+width, y(dq), y(dq), left+44, y(dq)+4, dq)
	}
	for _, saving := range []float64{0, 0.2, 0.4, 0.6, 0.8} {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%.0f %%</text>`+"\n", x(saving), top+height+20, 100*saving)
	}
	for i, s := range []struct{ strategy, name, colour string }{
		{"single", "best single per task", "#888"}, {"global", "one threshold", "#c9803c"}, {"table", "policy table", "#2a9d8f"},
	} {
		var path []string
		for _, loss := range losses() {
			at := fmt.Sprintf("%s.%s.%g", pool, s.strategy, points*loss)
			px, py := x(found[at+".saving"]), y(max(found[at+".dq"], low))
			path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`, px, py, s.colour)
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%d" y="%d" fill="%s">%s</text>`+"\n",
			strings.Join(path, " "), s.colour, left+60, top+height-46+16*i, s.colour, s.name)
	}
}

// bars draws APGR (0.5 is random) beside RouteLLM's best published figure.
func bars(b *strings.Builder, found figures.Figures) {
	const top, row, left, scale = 380, 24, 250, 420
	fmt.Fprintf(b, `<text x="10" y="%d">APGR: how well questions are ordered for the strong model (0.5 is random; RouteLLM's best published beside ours)</text>`+"\n", top)
	for i, r := range []struct {
		name, figure string
		value        float64
	}{
		{"MMLU, RouteLLM", "", 0.603}, {"MMLU, question text", "mmlu.pre.apgr", 0}, {"MMLU, text and task", "mmlu.pre_tag.apgr", 0},
		{"GSM8K, RouteLLM", "", 0.622}, {"GSM8K, question text", "gsm8k.pre.apgr", 0}, {"GSM8K, with the weak answer", "gsm8k.post.apgr", 0},
		{"GSM8K, with two 6B samples", "gsm8k.agree.apgr", 0},
	} {
		colour, value := "#c9803c", r.value
		if r.figure != "" {
			colour, value = "#2a9d8f", found[r.figure]
		}
		y := top + 20 + row*i
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="16" fill="%s"/><text x="%.1f" y="%d">%.3f</text>`+"\n",
			left-10, y+13, r.name, left, y, value*scale, colour, left+value*scale+6, y+13, value)
	}
}
