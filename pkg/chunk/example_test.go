package chunk_test

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/tokens"
)

func ExampleSplit() {
	doc, err := parse.Parse(context.Background(), parse.Input{Name: "guide.md", Data: []byte("# Guide\n\nHello.\n\n## Use\n\nRun it.\n")})
	if err != nil {
		fmt.Println(err)
		return
	}
	counter, err := tokens.New(tokens.O200kBase)
	if err != nil {
		fmt.Println(err)
		return
	}
	chunks, err := chunk.Split(doc, chunk.DefaultOptions(counter))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range chunks {
		fmt.Printf("%q %q [%d:%d] %d tokens\n", c.Prefix, c.Text, c.Start, c.End, c.Tokens)
	}
	// Output:
	// "" "# Guide\n\nHello.\n\n" [0:17] 5 tokens
	// "Guide\n\n" "## Use\n\nRun it.\n" [17:33] 8 tokens
}
