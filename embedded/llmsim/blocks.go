package llmsim

import (
	"regexp"
	"strings"
)

// block is one piece of context in a prompt:
//
//	<source id="1" source="docs/x.md" section="A > B">text</source>
type block struct {
	id      string
	source  string
	section string
	text    string
}

var (
	blockPattern     = regexp.MustCompile(`(?s)<source((?:\s+[a-z]+="[^"]*")*)\s*>(.*?)</source>`)
	attributePattern = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
	questionPattern  = regexp.MustCompile(`(?m)^Question:[ \t]*`)
)

// unescaper undoes the escaping of text inside a block.
var unescaper = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&amp;", "&") //nolint:gochecknoglobals // a table, never written

// parsePrompt finds the context blocks of a conversation and the question
// asked over them: the blocks of the last user message that has any, and the
// text after "Question:" behind them. When a later user message has no blocks
// it is the question. Without blocks the question is the last user message.
func parsePrompt(messages []message) (blocks []block, question string) {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role != roleUser {
			continue
		}
		text := messages[i].Content.text
		found, rest := parseBlocks(text)
		if question == "" {
			question = rest
		}
		if len(found) > 0 {
			return found, question
		}
	}
	return nil, question
}

// parseBlocks returns the blocks of one message and the question behind them.
func parseBlocks(text string) (blocks []block, question string) {
	end := 0
	for _, m := range blockPattern.FindAllStringSubmatchIndex(text, -1) {
		b := block{text: unescaper.Replace(text[m[4]:m[5]])}
		for _, attr := range attributePattern.FindAllStringSubmatch(text[m[2]:m[3]], -1) {
			b.set(attr[1], unescaper.Replace(attr[2]))
		}
		blocks = append(blocks, b)
		end = m[1]
	}
	rest := text[end:]
	if at := questionPattern.FindStringIndex(rest); at != nil {
		return blocks, strings.TrimSpace(unescaper.Replace(rest[at[1]:]))
	}
	return blocks, strings.TrimSpace(rest)
}

func (b *block) set(name, value string) {
	switch name {
	case "id":
		b.id = value
	case "source":
		b.source = value
	case "section":
		b.section = value
	}
}
