package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tiktoken-go/tokenizer"
	"github.com/tiktoken-go/tokenizer/codec"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/tokens"
	"github.com/weir-dev/weir/test/internal/figures"
)

// textBytes bounds the texts to count.
const textBytes = 1 << 20

// benchTokens measures the counting of tokens beside tiktoken-go/tokenizer: the
// ratio of the speeds on real text, and the time for the worst of the texts
// made to be slow, which tokenizer is spared.
func benchTokens(found figures.Figures, data string, rounds int) error {
	texts, err := readTexts(data)
	if err != nil {
		return err
	}
	ours, err := tokens.New(tokens.O200kBase)
	if err != nil {
		return err
	}
	for name, text := range texts {
		ratio, err := speedRatio(ours, codec.NewO200kBase(), text, rounds)
		if err != nil {
			return fmt.Errorf("counting %s: %w", name, err)
		}
		found["ratio_"+name] = ratio
	}
	worst := time.Duration(0)
	for _, part := range hostileParts() {
		text := strings.Repeat(part, textBytes/len(part)+1)
		worst = max(worst, timed(func() { ours.Count(text) }))
	}
	found["worst_1mb_s"] = worst.Seconds()
	return nil
}

// speedRatio is how many times as fast ours counts text as theirs does: the
// median over rounds that measure both, after one to warm up. The counts must
// agree but for one in a thousand, the share in which tokenizer errs.
func speedRatio(ours *tokens.Counter, theirs tokenizer.Codec, text string, rounds int) (float64, error) {
	want, err := theirs.Count(text)
	if err != nil {
		return 0, fmt.Errorf("by tokenizer: %w", err)
	}
	if got := ours.Count(text); math.Abs(float64(got-want)) > float64(want)/1000 {
		return 0, fmt.Errorf("%d tokens by our count, %d by tokenizer's", got, want)
	}
	ratios := make([]float64, 0, rounds)
	for range rounds {
		mine := timed(func() { ours.Count(text) })
		other := timed(func() { _, err = theirs.Count(text) })
		if err != nil {
			return 0, fmt.Errorf("by tokenizer: %w", err)
		}
		ratios = append(ratios, other.Seconds()/mine.Seconds())
	}
	return figures.Median(ratios), nil
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// hostileParts are what, repeated, makes other counters take quadratic time.
func hostileParts() []string {
	return []string{"a", "^", " ", "\n", " \n", "\t ", "7", "'", "\x7f", "\u2003\n", "A漢", "aA", "\u0301", "漢字仮名交じり文", "👩‍👩‍👧‍👦", "\xff\xfe",
		"a\x7f \n\xff漢9^'s"}
}

// readTexts returns the texts to count: English and Japanese paragraphs of the
// data sets, and the Go files below the working directory.
func readTexts(data string) (map[string]string, error) {
	prose, err := readParagraphs(filepath.Join(data, "rag", "squad", "corpus.jsonl"))
	if err != nil {
		return nil, err
	}
	cjk, err := readParagraphs(filepath.Join(data, "rag", "jsquad", "corpus.jsonl"))
	if err != nil {
		return nil, err
	}
	code, err := readGo(".")
	if err != nil {
		return nil, err
	}
	return map[string]string{"prose": prose, "code": code, "cjk": cjk}, nil
}

func readParagraphs(path string) (string, error) {
	rows, err := dataset.Rows[struct{ Text string }](path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, row := range rows {
		if b.Len() >= textBytes {
			break
		}
		b.WriteString(row.Text + "\n\n")
	}
	return b.String(), nil
}

// readGo returns about textBytes of the Go files below root.
func readGo(root string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || b.Len() >= textBytes {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the source's own files
		b.Write(text)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading Go files: %w", err)
	}
	if b.Len() == 0 {
		return "", errors.New("no Go files in the working directory; run in the root of the source")
	}
	return b.String(), nil
}
