package learn

import "github.com/weir-dev/weir/pkg/cascade"

// Isotonic fits the rising function that is nearest to ok by squared error, by
// pooling adjacent violators (Ayer et al., 1955), as knots for Calibration.
func Isotonic(p, ok, weight []float64) []cascade.Knot {
	type block struct{ x, y, w float64 } // sums of w*x and w*y
	var blocks []block
	for _, i := range ascending(p) {
		blocks = append(blocks, block{p[i] * weight[i], ok[i] * weight[i], weight[i]})
		for len(blocks) > 1 {
			a, b := blocks[len(blocks)-2], blocks[len(blocks)-1]
			if a.y/a.w < b.y/b.w && a.x/a.w < b.x/b.w {
				break
			}
			blocks = append(blocks[:len(blocks)-2], block{a.x + b.x, a.y + b.y, a.w + b.w})
		}
	}
	knots := make([]cascade.Knot, 0, len(blocks))
	for _, b := range blocks {
		knots = append(knots, cascade.Knot{X: b.x / b.w, Y: b.y / b.w})
	}
	return knots
}
