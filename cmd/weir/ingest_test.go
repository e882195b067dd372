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

// TestCollect: of folders the files whose format is known, named files of any
// kind, and URLs, each once. package source has the details.
func TestCollect(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"b.md", "a.MD", "c.txt", "d.pdf", "e.html", "f.png", "sub/f.markdown", "sub/.hidden/g.md", ".git/h.md"} {
		write(t, dir, name, "x")
	}
	in := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	folder := in("a.MD", "b.md", "c.txt", "d.pdf", "e.html", "sub/f.markdown")
	const url = "https://example.com/a//b.pdf"
	for _, tc := range []struct {
		name        string
		paths, want []string
	}{
		{"folder", []string{dir}, folder},
		{"twice", []string{dir, dir + "/sub/..", filepath.Join(dir, "b.md")}, folder},
		{"named file of any kind", in("f.png", "b.md"), in("f.png", "b.md")},
		{"URLs", []string{url, filepath.Join(dir, "b.md"), url}, append([]string{url}, in("b.md")...)},
	} {
		got, err := collect(&env{err: &buffer{}}, tc.paths)
		if err != nil || !slices.Equal(got.names, tc.want) {
			t.Errorf("%s: files %q (%v), want %q", tc.name, got.names, err, tc.want)
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
	page := write(t, dir, "page.png", "\x89PNG\r\n\x1a\n")
	got := weir(t, "ingest", dir, page, "--nats-url", url)
	got.wants(t, exitJobFailed, "2 documents, 2 chunks, ", "3 of 5 documents were not stored")
	for _, want := range []string{empty + ": invalid: document: the file is empty", binary + ": job ", page + ": job ", "x-elf", "PNG"} {
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

// TestLatin1Document: bytes that are no UTF-8 travel as data and are read in their
// encoding.
func TestLatin1Document(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	file := write(t, t.TempDir(), "latin1.txt", strings.Repeat("Die Stra\xdfe \xfcber die Br\xfccke ist gesperrt. ", 20))
	weir(t, "ingest", file, "--nats-url", url).wants(t, exitOK)
	weir(t, "query", "Straße Brücke", "--explain", "--nats-url", url).wants(t, exitOK, "latin1.txt", "bm25 #1", "grams #1", "Die Straße über die Brücke ist gesperrt.")
	job := write(t, t.TempDir(), "job.json", `{"v":1,"collection":"docs","document":{"id":"d","data":"`+
		base64.StdEncoding.EncodeToString([]byte(bridge))+`"}}`)
	weir(t, "submit", job, "--wait", "--nats-url", url).wants(t, exitOK, "document d in collection docs: 1 chunk, ")
}

// TestDocuments: documents are listed, shown, verified, cut anew and removed; what
// is gone from the folder is pruned.
func TestDocuments(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	dir := documents(t)
	with := func(args ...string) []string { return append(args, "--nats-url", url) }
	weir(t, with("ingest", dir, "--metadata", "town=Grenoble", "--acl", "staff")...).wants(t, exitOK)
	weir(t, with("ingest", dir)...).wants(t, exitOK, "unchanged", "0 chunks embedded") // but for the metadata
	weir(t, with("docs", "ls")...).wants(t, exitOK, "bridge.md", "holidays.md", "2 documents")
	file := filepath.Join(dir, "bridge.md")
	weir(t, with("docs", "show", file)...).wants(t, exitOK, "title", "The old bridge", "1 chunk")
	weir(t, with("docs", "verify")...).wants(t, exitOK, "2 documents, 2 points: 0 of no document, 0 missing")
	weir(t, with("docs", "reindex")...).wants(t, exitOK, "2 documents, 2 chunks")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	weir(t, with("ingest", dir, "--prune")...).wants(t, exitOK, "bridge.md: removed with 1 chunk")
	weir(t, with("docs", "rm", filepath.Join(dir, "holidays.md"))...).wants(t, exitOK, "removed with 1 chunk")
	weir(t, with("docs", "ls")...).wants(t, exitOK, "0 documents")
	job := write(t, t.TempDir(), "job.json", `{"v":1,"collection":"docs","document":"none"}`)
	weir(t, with("submit", job, "--kind", "delete", "--wait")...).wants(t, exitOK, "removed with 0 chunks")
	weir(t, with("submit", job, "--kind", "verify", "--wait")...).wants(t, exitOK, "0 documents, 0 points")
	weir(t, with("docs", "verify")...).wants(t, exitOK, "0 documents, 0 points")
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

// TestSnapshots: a snapshot is made, listed, put back and removed.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, stop := systemAddrs(t, dir)
	url, addr := up["nats_url"], up["qdrant_addr"]
	weir(t, "ingest", documents(t), "--nats-url", url).wants(t, exitOK)
	made := lines[struct{ Name string }](t, weir(t, "snapshot", "create", "--qdrant-addr", addr, "--json").wants(t, exitOK))[0].Name
	weir(t, "snapshot", "ls", "--qdrant-addr", addr).wants(t, exitOK, made, "bytes")
	files, err := filepath.Glob(filepath.Join(dir, "qdrant", "snapshots", "*", made))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %q, %v; want the snapshot %s", files, err, made)
	}
	weir(t, "snapshot", "restore", files[0], "--data-dir", filepath.Join(dir, "qdrant")).wants(t, exitError, "stop the server first")
	stop()
	weir(t, "snapshot", "restore", files[0], "--data-dir", filepath.Join(dir, "qdrant")).wants(t, exitOK, "restored", "docs verify")
	again, _ := systemAddrs(t, dir)
	weir(t, "docs", "verify", "--nats-url", again["nats_url"]).wants(t, exitOK, "2 documents, 2 points: 0 of no document")
	weir(t, "snapshot", "rm", made, "--qdrant-addr", again["qdrant_addr"]).wants(t, exitOK)
	if _, err := os.Stat(files[0]); err == nil {
		t.Errorf("%s is still there", files[0])
	}
}

// TestBelow: prune and watch keep to the folders that were named.
func TestBelow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, source string
		want         bool
	}{
		{"docs", "docs/a.md", true}, {"docs/", "docs/sub/a.md", true}, {"docs", "docs2/a.md", false}, {"docs", "docs", false},
		{".", "a.md", true}, {"./", "sub/a.md", true}, {".", "../other/a.md", false}, {".", "/srv/a.md", false}, {".", "", false},
		{".", "https://example.com/a.md", false}, {"https://example.com", "https://example.com/a.md", false},
	} {
		cmd := ingestCmd{Paths: []string{c.path}}
		if got := cmd.below(c.source); got != c.want {
			t.Errorf("%q is below %q: %v, want %v", c.source, c.path, got, c.want)
		}
	}
}

// TestPruneKeepsWhatIsLeftOut: a file that is not taken any more is not gone.
func TestPruneKeepsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	dir := documents(t)
	weir(t, "ingest", dir, "--nats-url", url).wants(t, exitOK)
	file := filepath.Join(dir, "bridge.md")
	if err := os.Truncate(file, maxFile+1); err != nil {
		t.Fatal(err)
	}
	weir(t, "ingest", dir, "--prune", "--nats-url", url).wants(t, exitOK, "1 document, ")
	weir(t, "docs", "show", file, "--nats-url", url).wants(t, exitOK, "The old bridge")
}

// TestMigrateToNothing: a model that the catalog doesn't have, or that is in force,
// ends before anything begins, and the next migration is not held up by it.
func TestMigrateToNothing(t *testing.T) {
	t.Parallel()
	url, _ := system(t, t.TempDir())
	weir(t, "migrate", "--to", "embed", "--yes", "--nats-url", url).wants(t, exitJobFailed, `"embed" is in force`)
	for range 2 {
		weir(t, "migrate", "--to", "unknown", "--yes", "--nats-url", url).wants(t, exitJobFailed, `no embedding model "unknown"`)
	}
	weir(t, "ingest", documents(t), "--nats-url", url).wants(t, exitOK, "2 documents, 2 chunks")
	weir(t, "migrate", "--end", "--json", "--nats-url", url).wants(t, exitOK)
}
