package llmsim

import (
	"math"
	"slices"
	"strings"
	"testing"
)

func cosine(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	e := newEmbedder()
	for _, text := range []string{"a", "?!", "the", "日", strings.Repeat("x", 10_000), "Straße", "it's John's", "\xff\xfe", strings.Repeat("many different words like these ", 500)} {
		for _, dims := range []int{8, 384, 1024} {
			v := e.embed(text, dims)
			if len(v) != dims || math.Abs(cosine(v, v)-1) > 1e-4 {
				t.Errorf("%.20q: %d dimensions, squared length %f", text, len(v), cosine(v, v))
			}
			if !slices.Equal(v, newEmbedder().embed(text, dims)) {
				t.Errorf("%.20q: not the same in another embedder", text)
			}
		}
	}
}

func TestEmbedIsLexicalSimilarity(t *testing.T) {
	t.Parallel()
	e := newEmbedder()
	for _, tc := range []struct{ query, near, far string }{
		{"How are jobs retried?", "A failed job is retried with a growing delay.", "The embedding model is chosen by the tenant."},
		{"acknowledgement of messages", "A message is acknowledged after the work is done.", "Cats sleep most of the day."},
		{"日本の首都", "東京は日本の首都である", "大阪は商業の都市である"},
		{"Wartungsarbeiten am Kraftwerk", "Das Kraftwerk wird gewartet.", "Der Hund schläft im Garten."},
	} {
		q := e.embed(tc.query, 1024)
		near, far := cosine(q, e.embed(tc.near, 1024)), cosine(q, e.embed(tc.far, 1024))
		if near < far+0.1 {
			t.Errorf("%q: near %.3f, far %.3f", tc.query, near, far)
		}
	}
}

func TestStem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"jobs": "job", "job": "job", "stopped": "stop", "stopping": "stop", "creates": "creat", "creation": "creat", "created": "creat",
		"studies": "studi", "study": "studi", "boxes": "box", "classes": "class", "class": "class", "sing": "sing", "red": "red",
		"quickly": "quick", "falling": "fall", "1990s": "1990s", "bus": "bus", "as": "as",
	} {
		if got := string(stem([]byte(in))); got != want {
			t.Errorf("stem(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestScanWords(t *testing.T) {
	t.Parallel()
	var got []string
	text := "John's DON'T it’s 3.5 日本 Éa_b " + strings.Repeat("z", maxWordBytes+3)
	scanWords(text, nil, func(w []byte, at int, wide bool) {
		if !wide && at >= len(text) {
			t.Errorf("word %s at %d", w, at)
		}
		got = append(got, string(w))
	})
	want := []string{"john", "dont", "it", "3", "5", "日", "本", "éa", "b", strings.Repeat("z", maxWordBytes), "zzz"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func BenchmarkEmbed(b *testing.B) {
	e := newEmbedder()
	text := strings.Repeat("A durable consumer keeps the unacknowledged messages of its stream, number 42. ", 10)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		e.embed(text, 1024)
	}
}
