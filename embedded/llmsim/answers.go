package llmsim

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// Values of the fields of Answers that are zero.
const (
	defaultJobWorkers  = 2
	defaultQueuedJobs  = 1024
	defaultStoredBytes = 512 << 20
	defaultStoredItems = 10_000
)

// Answers says what a server knows beyond the prompts and how well its models
// do. The zero value knows nothing and never errs.
type Answers struct {
	// Seed changes every random draw: difficulties, errors, log probabilities
	// and the values of structured answers.
	Seed uint64
	// Gold are questions with known answers; see [ReadGold].
	Gold []Gold
	// Difficulty makes models err; nil: they don't.
	Difficulty *Difficulty
	// Paraphrases are groups of texts with the same meaning; their embeddings
	// are pulled together. See [ReadParaphrases].
	Paraphrases [][]string
	// DecodeTokens turns token ids given as an embedding input into text; nil
	// takes each id for a word.
	DecodeTokens func(ids []int) (string, error)
	// Webhook is told about the end of batches and of background responses.
	Webhook Webhook
	// JobWorkers is how many batches and background responses run at a time
	// (0 is 2), QueuedJobs how many more may wait (0 is 1,024).
	JobWorkers int
	QueuedJobs int
	// StoredBytes bounds the files held in memory (0 is 512 MiB), StoredItems
	// the number of files, of batches and of responses (0 is 10,000): of
	// responses the oldest goes, files and batches are refused.
	StoredBytes int64
	StoredItems int
}

// Webhook is where events are sent, signed as the Standard Webhooks
// specification says.
type Webhook struct {
	// URL to post to; "" sends nothing.
	URL string
	// Secret is "whsec_" and the key in base64.
	Secret string
}

// key returns the bytes that sign.
func (w Webhook) key() ([]byte, error) {
	encoded, ok := strings.CutPrefix(w.Secret, "whsec_")
	if !ok || encoded == "" {
		return nil, fmt.Errorf(`want "whsec_" and a key in base64`)
	}
	return base64.StdEncoding.DecodeString(encoded)
}

// withDefaults sets the bounds that are zero.
func (a Answers) withDefaults() Answers {
	if a.JobWorkers == 0 {
		a.JobWorkers = defaultJobWorkers
	}
	if a.QueuedJobs == 0 {
		a.QueuedJobs = defaultQueuedJobs
	}
	if a.StoredBytes == 0 {
		a.StoredBytes = defaultStoredBytes
	}
	if a.StoredItems == 0 {
		a.StoredItems = defaultStoredItems
	}
	return a
}

// Validate reports the first field with a wrong value, naming both.
func (a Answers) Validate() error {
	for i := range a.Gold {
		if err := a.Gold[i].validate(); err != nil {
			return fmt.Errorf("llmsim config: Answers.Gold[%d]: %w", i, err)
		}
	}
	if a.Difficulty != nil {
		if err := a.Difficulty.validate(); err != nil {
			return err
		}
	}
	for i, group := range a.Paraphrases {
		if len(group) < 2 {
			return fmt.Errorf("llmsim config: Answers.Paraphrases[%d] has %d texts, want at least 2", i, len(group))
		}
	}
	for _, f := range []struct {
		name string
		got  int64
	}{
		{"JobWorkers", int64(a.JobWorkers)}, {"QueuedJobs", int64(a.QueuedJobs)},
		{"StoredBytes", a.StoredBytes}, {"StoredItems", int64(a.StoredItems)},
	} {
		if f.got < 0 {
			return fmt.Errorf("llmsim config: Answers.%s is %d, want at least 0 (0 is the default)", f.name, f.got)
		}
	}
	return a.Webhook.validate()
}

func (w Webhook) validate() error {
	if w.URL == "" {
		return nil
	}
	if u, err := url.Parse(w.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("llmsim config: Answers.Webhook.URL is %q, want http://host/path or https://host/path", w.URL)
	}
	if _, err := w.key(); err != nil {
		return fmt.Errorf("llmsim config: Answers.Webhook.Secret is not a signing key: %w", err)
	}
	return nil
}
