package tokens_test

import (
	"fmt"

	"github.com/weir-dev/weir/pkg/tokens"
)

func ExampleCounter_Count() {
	c, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Count("tiktoken is great!"))
	// Output: 6
}

func ExampleCounter_Split() {
	c, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, piece := range c.Split("one two three four five six", 4) {
		fmt.Printf("%q\n", piece)
	}
	// Output:
	// "one two three four"
	// " five six"
}
