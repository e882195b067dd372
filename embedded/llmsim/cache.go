package llmsim

import (
	"hash/fnv"
	"maps"
	"strings"
	"sync"
	"time"
)

// The prompt cache of OpenAI: blocks of 128 tokens, from 1,024 on, for five
// minutes after their last use.
const (
	cacheBlock    = 128
	cacheFrom     = 1024
	cacheLife     = 5 * time.Minute
	maxCacheMarks = 1 << 18
)

// promptDetails is the part of a usage that tells what the cache saved.
type promptDetails struct {
	CachedTokens int `json:"cached_tokens"`
}

// promptCache knows the prefixes of prompts that were seen, by key and model.
type promptCache struct {
	mu    sync.Mutex
	until map[uint64]time.Time
}

func (p *promptCache) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = map[uint64]time.Time{}
}

// cached is how many of the prompt's tokens were seen before; it remembers
// them. A block is as many characters as 128 tokens take in this prompt.
func (p *promptCache) cached(scope, prompt string, tokens int, now time.Time, life time.Duration) int {
	if tokens < cacheFrom {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.until) > maxCacheMarks {
		maps.DeleteFunc(p.until, func(_ uint64, until time.Time) bool { return !now.Before(until) })
	}
	if len(p.until) > maxCacheMarks {
		clear(p.until)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(scope))
	hits, unbroken := 0, true
	blocks := tokens / cacheBlock
	size := max(1, len(prompt)*cacheBlock/tokens)
	for i := range blocks {
		if (i+1)*size > len(prompt) {
			break
		}
		_, _ = h.Write([]byte(prompt[i*size : (i+1)*size]))
		mark := h.Sum64()
		if unbroken = unbroken && now.Before(p.until[mark]); unbroken {
			hits = i + 1
		}
		p.until[mark] = now.Add(life)
	}
	if hits*cacheBlock < cacheFrom {
		return 0
	}
	return hits * cacheBlock
}

// cachedTokens is how many of a prompt's tokens the provider has in its cache.
func (s *Server) cachedTokens(c *call, q *chatRequest, tokens int) *promptDetails {
	if !s.cfg.PromptCache || c.server == nil {
		return nil
	}
	var text strings.Builder
	for _, m := range q.Messages {
		text.WriteString(m.Role + "\x00" + m.Content.text + "\x00")
	}
	return &promptDetails{CachedTokens: s.cache.cached(c.key+"\x00"+q.Model, text.String(), tokens, s.clock.now(), s.scaled(Duration(cacheLife)))}
}
