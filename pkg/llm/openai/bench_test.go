package openai

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm"
)

// BenchmarkEmbed reads 256 vectors of 1536 dimensions: base64, numbers that were
// asked for, and numbers from a server that was asked for base64.
func BenchmarkEmbed(b *testing.B) {
	const inputs, dims = 256, 1536
	random := rand.New(rand.NewPCG(1, 2))
	var packed, plain []string
	for i := range inputs {
		values := make([]float32, dims)
		texts := make([]string, dims)
		for j := range values {
			values[j] = random.Float32() - 0.5
			texts[j] = strconv.FormatFloat(float64(values[j]), 'g', -1, 32)
		}
		packed = append(packed, item(i, values...))
		plain = append(plain, `{"index":`+strconv.Itoa(i)+`,"embedding":[`+strings.Join(texts, ",")+`]}`)
	}
	off := false
	for _, tc := range []struct {
		name   string
		body   string
		base64 *bool
	}{{"base64", vectors(packed...), nil}, {"numbers", vectors(plain...), &off}, {"numbers-unasked", vectors(plain...), nil}} {
		b.Run(tc.name, func(b *testing.B) {
			client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Request: r, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(tc.body))}, nil
			})}
			c, err := New(Config{BaseURL: "http://p/v1", HTTPClient: client, Dialect: catalog.Dialect{Base64: tc.base64}})
			if err != nil {
				b.Fatal(err)
			}
			req := llm.EmbedRequest{Model: "e", Inputs: make([]string, inputs)}
			b.SetBytes(int64(len(tc.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Embed(b.Context(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
