package main

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestCollect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b.md", "a.MD", "c.txt", "d.pdf", "e.html", "sub/f.markdown", "sub/.hidden/g.md", ".git/h.md", ".dot.md", "comma, and.text"} {
		write(t, dir, name, "x")
	}
	if err := os.Symlink(filepath.Join(dir, "b.md"), filepath.Join(dir, "link.md")); err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	folder := in("a.MD", "b.md", "c.txt", "comma, and.text", "sub/f.markdown")
	for _, tc := range []struct {
		name        string
		paths, want []string
	}{
		{"folder", []string{dir}, folder},
		{"folder with a slash", []string{dir + "/"}, folder},
		{"twice", []string{dir, dir + "/sub/..", filepath.Join(dir, "b.md")}, folder},
		{"named file of any kind", in("d.pdf", "b.md"), in("d.pdf", "b.md")},
		{"one file in two spellings", []string{dir + "/b.md", dir + "/./sub/../b.md"}, in("b.md")},
		{"hidden folder by name", in(".git"), in(".git/h.md")},
		{"link by name", in("link.md"), in("link.md")},
	} {
		var notes strings.Builder
		got, err := collect(&notes, tc.paths)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: files %q (%v), want %q", tc.name, got, err, tc.want)
		}
		if whole := slices.Equal(tc.want, folder); whole != strings.Contains(notes.String(), "link.md: a symbolic link") {
			t.Errorf("%s: notes %q", tc.name, notes.String())
		}
	}
}

// ingested is a line of `weir ingest --json`.
type ingested struct {
	File   string       `json:"file"`
	Result event.Result `json:"result"`
	Error  *event.Error `json:"error"`
}

// TestIngest: the good documents of a folder are stored, and each other one is
// named with the reason.
func TestIngest(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	dir := documents(t)
	weir(t, "ingest", dir, "--nats-url", url).wants(t, exitOK, "/2 ", "2/2 ", "2 documents, 2 chunks, ")

	empty, binary := write(t, dir, "empty.md", ""), write(t, dir, "binary.txt", "\x7fELF\x00\x00\xff\xfe")
	page := write(t, dir, "page.html", "<html><body>Hi</body></html>")
	got := weir(t, "ingest", dir, page, "--nats-url", url)
	got.wants(t, exitJobFailed, "2 documents, 2 chunks, ", "3 of 5 documents were not stored")
	for _, want := range []string{empty + ": invalid: document: the file is empty", binary + ": job ", page + ": job ", "content is an ELF program", `"html"`} {
		if !strings.Contains(got.err, want) {
			t.Errorf("no %q in stderr: %s", want, got.err)
		}
	}
	checkLines(t, lines[ingested](t, weir(t, "ingest", dir, page, "--json", "--nats-url", url).wants(t, exitJobFailed)), empty, binary, page)
}

func checkLines(t *testing.T, got []ingested, failing ...string) {
	t.Helper()
	if len(got) != 5 {
		t.Fatalf("%d lines, want one a document", len(got))
	}
	for _, line := range got {
		if slices.Contains(failing, line.File) {
			if line.Error == nil || line.Error.Field != "document" || line.Error.Hint == "" {
				t.Errorf("%s: error %+v, want one of the document with a hint", line.File, line.Error)
			}
			continue
		}
		if line.Error != nil || line.Result.Status != event.StatusOK || line.Result.Ingested.Chunks != 1 {
			t.Errorf("%s: %+v, error %+v", line.File, line.Result, line.Error)
		}
	}
}

// TestLatin1Document: bytes that are no UTF-8 travel as data and are refused
// with a reason, never changed on the way.
func TestLatin1Document(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	file := write(t, t.TempDir(), "latin1.txt", strings.Repeat("Stra\xdfe und Br\xfccke. ", 20))
	weir(t, "ingest", file, "--nats-url", url).wants(t, exitJobFailed, "40 invalid bytes", "UTF-8")
	job := write(t, t.TempDir(), "job.json", `{"v":1,"collection":"docs","document":{"id":"d","data":"`+
		base64.StdEncoding.EncodeToString([]byte(bridge))+`"}}`)
	weir(t, "submit", job, "--wait", "--nats-url", url).wants(t, exitOK, "document d in collection docs: 1 chunk, ")
}

// TestIngestAgain replaces a document: the old text is no longer found.
func TestIngestAgain(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	dir := t.TempDir()
	write(t, dir, "bridge.md", "The old bridge at Grenoble was built by Paul Martin.")
	weir(t, "ingest", dir, "--nats-url", url).wants(t, exitOK)
	weir(t, "ask", known, "--nats-url", url).wants(t, exitOK, "Paul Martin")
	write(t, dir, "bridge.md", bridge)
	weir(t, "ingest", dir, "--nats-url", url).wants(t, exitOK)
	got := lines[event.Result](t, weir(t, "ask", known, "--json", "--nats-url", url))[0]
	cites(t, got)
	if strings.Contains(got.Answer.Text, "Paul Martin") {
		t.Errorf("answer %q has the old text", got.Answer.Text)
	}
}
