package parse_test

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/parse"
)

func ExampleParse() {
	doc, err := parse.Parse(context.Background(), parse.Input{Name: "guide.md", Data: []byte("# Guide\n\nHello.\n\n## Use\n\n- one\n- two\n")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(doc.Title)
	for _, b := range doc.Blocks {
		fmt.Printf("%s %q %q\n", b.Kind, doc.Text[b.Start:b.End], b.Section)
	}
	// Output:
	// Guide
	// heading "# Guide" ["Guide"]
	// paragraph "Hello." ["Guide"]
	// heading "## Use" ["Guide" "Use"]
	// list "- one\n- two" ["Guide" "Use"]
}

func ExampleParse_unsupported() {
	_, err := parse.Parse(context.Background(), parse.Input{Name: "paper.pdf", Data: []byte("%PDF-1.7")})
	fmt.Println(err)
	// Output:
	// invalid: document: PDF files are not read here: no PDF reader is set (send the text, or enable the PDF reader)
}
