package chunk_test

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/parse"
)

const (
	// maxNew is the share of chunks that an edited sentence may make new.
	maxNew = 0.10
	// minFill is the share of the limit that chunks in long sections use.
	minFill = 0.75
)

// TestEditsChangeFewChunks edits a sentence in every file of a set of real
// documents and counts the chunks whose embedding is not known from before.
func TestEditsChangeFewChunks(t *testing.T) {
	t.Parallel()
	docs := demoDocs(t)
	opt := chunk.DefaultOptions(counter(t))
	for name, edit := range map[string]func(parse.Document) string{"edit in the middle": editMiddle, "insert near the top": insertTop} {
		var fresh, all, edited int
		for _, doc := range docs {
			text := edit(doc)
			if text == "" { // no paragraph
				continue
			}
			edited++
			known := map[string]bool{}
			for _, c := range splitText(t, doc.Title, doc.Text, opt) {
				known[c.EmbedText()] = true
			}
			after := splitText(t, doc.Title, text, opt)
			for _, c := range after {
				if !known[c.EmbedText()] {
					fresh++
				}
			}
			all += len(after)
		}
		share := float64(fresh) / float64(all)
		t.Logf("%s: %d of %d chunks of %d files are new: %.3f, %.2f a file", name, fresh, all, edited, share, float64(fresh)/float64(edited))
		if share > maxNew {
			t.Errorf("%s: %.3f of the chunks are new, want %.2f at most", name, share, maxNew)
		}
	}
}

// TestFill holds chunks in long sections to be full enough.
func TestFill(t *testing.T) {
	t.Parallel()
	opt := chunk.DefaultOptions(counter(t))
	var tokens, n int
	for _, doc := range demoDocs(t) {
		chunks := splitText(t, doc.Title, doc.Text, opt)
		for start := 0; start < len(chunks); {
			end := start + 1
			for end < len(chunks) && slices.Equal(chunks[end].Section, chunks[start].Section) {
				end++
			}
			if end-start > 3 {
				for _, c := range chunks[start : end-1] { // the last one holds the rest
					tokens += c.Tokens
					n++
				}
			}
			start = end
		}
	}
	fill := float64(tokens) / float64(n*opt.MaxTokens)
	t.Logf("%d chunks in long sections use %.3f of the limit", n, fill)
	if fill < minFill {
		t.Errorf("chunks in long sections use %.3f of the limit, want %.2f", fill, minFill)
	}
}

// demoDocs returns the real documents that can be parsed.
func demoDocs(t testing.TB) []parse.Document {
	t.Helper()
	var docs []parse.Document
	err := filepath.WalkDir(dataset.Path(t, "rag", "demo-docs"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if doc, ok := parseFile(t, path); ok {
			docs = append(docs, doc)
		}
		return nil
	})
	if err != nil || len(docs) < 200 {
		t.Fatalf("%d documents, want 200 at least; error %v", len(docs), err)
	}
	return docs
}

// splitText cuts Markdown.
func splitText(t testing.TB, title, text string, opt chunk.Options) []chunk.Chunk {
	t.Helper()
	doc, err := parse.Parse(t.Context(), parse.Input{MediaType: "text/markdown", Data: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	doc.Title = title
	chunks, err := chunk.Split(doc, opt)
	if err != nil {
		t.Fatal(err)
	}
	return chunks
}

// editMiddle changes a word of the paragraph in the middle of a document; "" if
// there is no paragraph.
func editMiddle(doc parse.Document) string {
	best := -1
	for i, b := range doc.Blocks {
		if b.Kind == parse.Paragraph && (best < 0 || b.Start <= len(doc.Text)/2) {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	b := doc.Blocks[best]
	at := b.Start + (b.End-b.Start)/2
	if i := strings.IndexByte(doc.Text[at:b.End], ' '); i >= 0 {
		at += i
	}
	return doc.Text[:at] + " certainly" + doc.Text[at:]
}

// insertTop puts a sentence before the first paragraph.
func insertTop(doc parse.Document) string {
	for _, b := range doc.Blocks {
		if b.Kind == parse.Paragraph {
			return doc.Text[:b.Start] + "This sentence was not here before, and it has some words. " + doc.Text[b.Start:]
		}
	}
	return ""
}
