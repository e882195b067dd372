package parse_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/parse/pdfium"
)

// files returns the regular files under a folder of the test data.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dataset.Path(t, dir), func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, file)
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	return out
}

// newPDF returns a reader of PDF files whose compiled code is kept between runs.
func newPDF(t testing.TB) *pdfium.Reader {
	t.Helper()
	r := pdfium.New(pdfium.Config{CacheDir: filepath.Join(os.TempDir(), "weir-test-pdfium")})
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// dataFile is what is expected of a file: texts it has and has not, or a part
// of the error.
type dataFile struct {
	title   string
	has     []string
	hasNot  []string
	wantErr string
}

// formatFiles are the files of rag/formats.
func formatFiles() map[string]dataFile {
	return map[string]dataFile{
		"README.md":                        {has: []string{"## XBRL 10-K"}},
		"README.org":                       {has: []string{"# Example Docs", "## XBRL 10-K", "```bash"}},
		"README.rst":                       {has: []string{"# Example Docs", "## XBRL 10-K"}},
		"embedded-images-tables.pdf":       {has: []string{"follow Langmuir adsorption isotherm", "\n2 1.9460 0.0596 0.8276 0.0002 121.440 1.5054\n"}},
		"factbook.xml":                     {has: []string{"<capital>Ottawa</capital>"}},
		"fake-bold-sample.pdf":             {title: "Fake Bold PDF Test Document", has: []string{"The quick brown fox jumps over the lazy dog."}},
		"fake-email-utf-16.eml":            {title: "Test Email", has: []string{"From: Matthew Robinson <mrobinson@unstructured.io>", "- Roses are red"}, hasNot: []string{"<div", "boundary"}},
		"fake-email.eml":                   {title: "Test Email", has: []string{"To: NotMatthew", "- Violets are blue"}, hasNot: []string{"<div"}},
		"fake-html.html":                   {title: "My First Heading", has: []string{"# My First Heading\n\n## My Second Heading", "| Row 1, Cell 1 | Row 1, Cell 2 |", "  - With sub-bullets!"}},
		"fake-power-point.pptx":            {has: []string{"## Adding a Bullet Slide\n\n- Find the bullet slide layout", "Here is some text in a text box!"}},
		"fake-text-utf-16-le.txt":          {has: []string{"This is a test document to use for unit tests.\n"}},
		"fake-text-utf-32.txt":             {has: []string{"- I love fuzzy blankets"}},
		"fake.odt":                         {has: []string{"| Header row | Mon | Wed | Fri |\n| --- | --- | --- | --- |\n| Color | Blue | Red | Green |"}},
		"family-day.eml":                   {title: "Family Day", has: []string{"a petting zoo, funnel cake and more.", "\n--\nMallori"}},
		"handbook-1p.docx":                 {has: []string{"28 U.S.C. § 586(b)"}},
		"ideas-page.html":                  {title: "How to Get New Ideas", has: []string{"The way to get new ideas is to notice"}, hasNot: []string{"refsd", "document.referrer"}},
		"mime-html-only.eml":               {title: "Example HTML Only MIME Email", has: []string{"The first emoticon, :) , was proposed"}},
		"mime-multipart-digest.eml":        {title: "Example Multipart Digest Email", has: []string{"## Second Message\n\nFrom: frank@example.com", "third message in the digest."}},
		"multi-column-2p.pdf":              {title: "Dense Passage Retrieval for Open-Domain Question Answering", has: []string{"## 1 Introduction\n", "### 3.1 Overview\n", "Open-domain question answering relies on efficient passage retrieval to select candidate contexts, where", "embeddings are learned from a small number of questions and passages by a simple dual-encoder framework."}},
		"password.pdf":                     {wantErr: "protected by a password"},
		"reliance.pdf":                     {has: []string{"# We Care", "Reliance Industries Limited (RIL) is a Fortune 500 company and the largest private sector corporation in India."}},
		"simple.docx":                      {title: "These are a few of my favorite things:", has: []string{"# These are a few", "- Parrots", "- Hockey"}},
		"stanley-cups.csv":                 {has: []string{"| Maple Leafs | TOR | 13 |"}},
		"stanley-cups.xlsx":                {has: []string{"## Stanley Cups Since 67", "| Maple Leafs | TOR | 13 |"}},
		"tables-with-incomplete-rows.docx": {has: []string{"| a | b |  |\n| --- | --- | --- |\n|  | c | d |"}},
		"winter-sports.epub":               {title: "Winter Sports in Switzerland", has: []string{"by E. F. Benson"}, hasNot: []string{"<p", "<?xml"}},
	}
}

// uglyFiles are the files of rag/ugly.
func uglyFiles() map[string]dataFile {
	return map[string]dataFile{
		"ar-rtl.txt":              {has: []string{"لم يتخلى فريق"}},
		"base64-100k.txt":         {has: []string{"pTyGJMuHbEL31IeL2H"}},
		"combining.txt":           {has: []string{"e\u0301\u0301"}},
		"crlf.md":                 {title: "Title", has: []string{"# Title\n\nText one.\n"}, hasNot: []string{"\r"}},
		"deep-div.html":           {has: []string{"x"}, hasNot: []string{"<"}},
		"deep-list.md":            {has: []string{"- level 599"}},
		"deep-quote.md":           {has: []string{">>>>"}},
		"emoji-zwj.txt":           {has: []string{"👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈👍🏽🇩🇪 text"}},
		"empty.txt":               {wantErr: "empty"},
		"entities.html":           {has: []string{"<b>A&amp;"}},
		"front-matter.md":         {title: "x: y", has: []string{"# Real title"}},
		"html-bomb.html.gz":       {has: []string{"a\na\na"}, hasNot: []string{"<"}},
		"huge-table.md":           {has: []string{"| 5999 | value 5999 |"}},
		"invalid-utf8.bin":        {wantErr: "binary"},
		"ja-no-spaces.txt":        {has: []string{"梅雨（つゆ、ばいう）は、"}},
		"latin1.txt":              {has: []string{"Größe, naïve café, señor\n"}},
		"long-csv.csv":            {has: []string{"| 0.20851150187548195 | 0.9138737786565408 |"}},
		"many-attrs.html":         {has: []string{"hi"}},
		"minified.json":           {has: []string{"\n{\"id\":1,\"name\":\"foo_bar\",\"v\":[1,2,3]},\n"}},
		"mixed-bidi.txt":          {has: []string{"\u202eabc\u202c English"}},
		"no-blank-lines.txt":      {has: []string{"CHAPTER I\n\"Well, Prince,"}},
		"nul-in-text.txt":         {wantErr: "NUL character at byte 8"},
		"one-line-200k.txt":       {has: []string{"CHAPTER I \"Well, Prince,"}},
		"one-word-100k.txt":       {has: []string{"aaaaaaaa"}},
		"only-spaces.txt":         {wantErr: "white space"},
		"prompt-injection.html":   {has: []string{"Opening hours are nine to five."}, hasNot: []string{"Ignore", "SYSTEM", "API key"}},
		"same-paragraph-x500.txt": {has: []string{"The same paragraph is repeated here"}},
		"script-heavy.html":       {has: []string{"Only this sentence matters."}, hasNot: []string{"var x"}},
		"unclosed-fence.md":       {title: "A", has: []string{"```go\nfunc f() {}"}},
		"utf16le-bom.txt":         {has: []string{"CHAPTER I\n\n\"Well, Prince,"}},
		"zh.txt":                  {has: []string{"黑豹队的防守只丢了 308分"}},
		"zip-bomb.docx":           {wantErr: "empty"},
	}
}

func TestDataFiles(t *testing.T) {
	t.Parallel()
	pdf := newPDF(t)
	for dir, want := range map[string]map[string]dataFile{"rag/formats": formatFiles(), "rag/ugly": uglyFiles()} {
		for _, f := range files(t, dir) {
			w, ok := want[filepath.Base(f)]
			if !ok {
				t.Errorf("nothing is expected of %s", f)
			}
			t.Run(filepath.Base(f), func(t *testing.T) { checkFile(t, f, w, pdf) })
		}
	}
}

// checkFile checks one file, and that its kind is found without its name.
func checkFile(t *testing.T, file string, want dataFile, pdf parse.PDF) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	in := parse.Input{Name: filepath.Base(file), Data: data, PDF: pdf}
	doc, err := parse.Parse(t.Context(), in)
	if want.wantErr != "" {
		checkError(t, err, event.ClassInvalid, want.wantErr)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	checkDocument(t, doc)
	if want.title != "" && doc.Title != want.title {
		t.Errorf("title %q, want %q", doc.Title, want.title)
	}
	for _, s := range want.has {
		if !strings.Contains(doc.Text, s) {
			t.Errorf("text has no %q: %.3000q", s, doc.Text)
		}
	}
	for _, s := range want.hasNot {
		if strings.Contains(doc.Text, s) {
			t.Errorf("text has %q", s)
		}
	}
	if len(doc.Text) > 1<<20 { // once is enough under the race detector
		return
	}
	again, err := parse.Parse(t.Context(), in)
	if err != nil || !reflect.DeepEqual(doc, again) {
		t.Errorf("a second reading differs: %v", err)
	}
	for _, in := range []parse.Input{{Data: data, PDF: pdf}, {Name: "x.txt", MediaType: "application/pdf", Data: data, PDF: pdf}} {
		if doc, err := parse.Parse(t.Context(), in); err != nil {
			t.Errorf("as %q %q: %v", in.Name, in.MediaType, err)
		} else {
			checkDocument(t, doc)
		}
	}
}

// checkError checks that err is an *event.Error for the document.
func checkError(t *testing.T, err error, class event.Class, part string) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an *event.Error", err)
	}
	if e.Class != class || e.Field != "document" || e.Hint == "" || !strings.Contains(e.Message, part) {
		t.Errorf("error = %+v, want class %s and %q", e, class, part)
	}
}

func TestDemoDocs(t *testing.T) {
	t.Parallel()
	for _, f := range files(t, "rag/demo-docs") {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := parse.Parse(t.Context(), parse.Input{Name: f, Data: data})
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		checkDocument(t, doc)
	}
}

// TestGrowth checks that ten times the input costs about ten times the work,
// counted in bytes allocated; slices that double make it uneven. It isn't
// parallel, so that nothing else allocates.
func TestGrowth(t *testing.T) {
	for _, f := range files(t, "rag/ugly") {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 1<<20 || len(data) < 1000 || strings.HasSuffix(f, ".gz") || strings.HasSuffix(f, ".docx") {
			continue // too large times ten, or all start-up
		}
		in := parse.Input{Name: filepath.Base(f), Data: data}
		one := measure(t.Context(), in)
		in.Data = bytes.Repeat(in.Data, 10)
		ten := measure(t.Context(), in)
		if float64(ten.allocated) > 16*float64(one.allocated) {
			t.Errorf("%s: %d bytes allocated, %d for ten times the input", in.Name, one.allocated, ten.allocated)
		}
	}
}

// TestHostileHTML checks that what is nested deeply or split into many pieces
// costs a bounded share of memory, and with it of time, for each byte.
func TestHostileHTML(t *testing.T) {
	text := strings.Repeat("some words of text here <b>x</b> ", 3000)
	for name, page := range map[string]string{
		"elements":   strings.Repeat("<div>", 400) + text,
		"lists":      strings.Repeat("<ul><li>", 200) + strings.Repeat("<p>some words of text", 3000),
		"quotes":     strings.Repeat("<blockquote>", 400) + text,
		"tables":     strings.Repeat("<table><tr><td>a<td>", 120) + text,
		"spans":      "<table>" + strings.Repeat("<tr><td rowspan=99 colspan=9>a", 3000),
		"images":     strings.Repeat("a<img alt=b>", 30_000),
		"scripts":    strings.Repeat("a<script></script>", 30_000),
		"attributes": "<p " + strings.Repeat("a=b ", 400_000) + ">x",
	} {
		cost := measure(t.Context(), parse.Input{Name: "a.html", Data: []byte(page)})
		if cost.err != nil {
			t.Errorf("%s: %v", name, cost.err)
		}
		if perByte := cost.allocated / uint64(len(page)); perByte > 2000 {
			t.Errorf("%s: %d bytes allocated for each byte", name, perByte)
		}
	}
}

// TestHostilePieces checks that text in many pieces costs no more for each piece
// the more there are.
func TestHostilePieces(t *testing.T) {
	long := strings.Repeat("long text ", 10_000)
	word := `<w:p><w:r><w:t>` + long + `</w:t></w:r>` + strings.Repeat(`<w:p></w:p>`, 2000) + `</w:p>`
	office := `<text:p>` + long + strings.Repeat(`<text:p></text:p>`, 2000) + `</text:p>`
	pages := fakePDF{pages: []string{strings.Repeat("some words at the end of a long-\nline and ", 4000)}}
	for _, in := range []parse.Input{
		{Name: "a.docx", Data: docxOf(t, word)},
		{Name: "a.odt", Data: odfOf(t, "text", "<office:text>"+office+"</office:text>")},
		{Name: "a.pdf", Data: []byte("%PDF-1.7"), PDF: pages},
	} {
		cost := measure(t.Context(), in)
		if cost.err != nil {
			t.Errorf("%s: %v", in.Name, cost.err)
		}
		if cost.allocated > 32<<20 {
			t.Errorf("%s: %d MB allocated", in.Name, cost.allocated>>20)
		}
	}
}

// cost is what one call of parse.Parse took.
type cost struct {
	allocated uint64 // bytes, of the whole process meanwhile
	err       error  // a refusal has its cost too
}

// measure parses in once. Run nothing beside it.
func measure(ctx context.Context, in parse.Input) cost {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := parse.Parse(ctx, in)
	runtime.ReadMemStats(&after)
	return cost{allocated: after.TotalAlloc - before.TotalAlloc, err: err}
}
