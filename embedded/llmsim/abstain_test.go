package llmsim

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/weir-dev/weir/pkg/dataset"
)

// contextOf makes the blocks of the five nearest documents.
func contextOf(docs []dataset.Document) []block {
	var out []block
	for i, d := range docs {
		out = append(out, block{id: strconv.Itoa(i + 1), source: d.ID, section: d.Title, text: d.Text})
	}
	return out
}

// withGold returns the five nearest documents, the right one among them.
func withGold(set dataset.Set, q dataset.Question, top []dataset.Document) []dataset.Document {
	five := append([]dataset.Document{}, top[:5]...)
	for _, d := range five {
		if set.Gold[q.ID][d.ID] {
			return five
		}
	}
	for _, d := range set.Documents {
		if set.Gold[q.ID][d.ID] {
			five[4] = d
		}
	}
	return five
}

func TestAnswersOwnQuestionsAndAbstainsFromForeignOnes(t *testing.T) {
	t.Parallel()
	squad, selqa := loadDataset(t, "squad"), loadDataset(t, "selqa")
	ix := newIndex(squad.Documents, 1024)
	squad.Questions, selqa.Questions = every(squad.Questions, 2*sampleStride), every(selqa.Questions, sampleStride)
	var mu sync.Mutex
	var asked, answered, rightBlock, holdsAnswer, foreign, foreignAnswered float64
	ix.forQueries(squad.Questions, 1024, func(q dataset.Question, top []dataset.Document) {
		five := withGold(squad, q, top)
		got := answerFromBlocks(contextOf(five), q.Text)
		mu.Lock()
		defer mu.Unlock()
		asked++
		if got == unknownAnswer {
			return
		}
		answered++
		for i, d := range five {
			if squad.Gold[q.ID][d.ID] && strings.Contains(got, "["+strconv.Itoa(i+1)+"]") {
				rightBlock++
			}
		}
		for _, a := range q.Answers {
			if strings.Contains(strings.ToLower(got), strings.ToLower(a)) {
				holdsAnswer++
				break
			}
		}
	})
	ix.forQueries(selqa.Questions, 1024, func(q dataset.Question, top []dataset.Document) {
		got := answerFromBlocks(contextOf(top[:5]), q.Text)
		mu.Lock()
		defer mu.Unlock()
		foreign++
		if got != unknownAnswer {
			foreignAnswered++
		}
	})
	t.Logf("%.0f own questions: answered %.3f; of those the right block is cited %.3f, the answer is in the sentences %.3f",
		asked, answered/asked, rightBlock/answered, holdsAnswer/answered)
	t.Logf("%.0f foreign questions: answered %.3f", foreign, foreignAnswered/foreign)
	if answered/asked < 0.90-sampleSlack || rightBlock/answered < 0.85-sampleSlack || holdsAnswer/answered < 0.75-sampleSlack {
		t.Errorf("own questions: want answered >= 0.90, right block >= 0.85, answer in sentences >= 0.75")
	}
	if foreignAnswered/foreign > 0.15+sampleSlack {
		t.Errorf("foreign questions answered: %.3f, want at most 0.15", foreignAnswered/foreign)
	}
}
