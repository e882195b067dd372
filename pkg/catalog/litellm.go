package catalog

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// litellmText maps LiteLLM's providers to ours.
//
//go:embed litellm.yaml
var litellmText []byte

// ErrNothingToImport means that the list has no model that fits.
var ErrNothingToImport = errors.New("no model of the list fits")

// Filter chooses models of a LiteLLM list; zero fields choose all.
type Filter struct {
	Provider string         // litellm_provider
	Match    *regexp.Regexp // on LiteLLM's name of the model
}

// ImportLiteLLM turns a model_prices_and_context_window.json of LiteLLM into a
// catalog file. It takes the chat, embedding and rerank models of providers that
// Weir knows. The list has no limits of accounts: those are to be added. Prices
// are rounded to whole nano-USD per token.
func ImportLiteLLM(r io.Reader, f Filter) ([]byte, error) {
	var list map[string]json.RawMessage
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		return nil, fmt.Errorf("reading LiteLLM's list: %w", err)
	}
	known, err := table[Provider](litellmText)
	if err != nil {
		return nil, fmt.Errorf("reading the built-in providers: %w", err)
	}
	if _, ok := known[f.Provider]; f.Provider != "" && !ok {
		return nil, fmt.Errorf("provider %q: %w (known: %s)", f.Provider, ErrNothingToImport, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	im := &importer{providers: map[string]Provider{}, ids: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(list)) {
		if name == "sample_spec" || f.Match != nil && !f.Match.MatchString(name) {
			continue
		}
		var e entry
		if err := json.Unmarshal(list[name], &e); err != nil {
			return nil, fmt.Errorf("reading LiteLLM's model %q: %w", name, err)
		}
		provider, ok := known[e.provider()]
		if ok && (f.Provider == "" || f.Provider == e.provider()) {
			im.model(name, provider, e)
		}
	}
	if im.models.Len() == 0 {
		return nil, fmt.Errorf("importing LiteLLM's list: %w", ErrNothingToImport)
	}
	return im.file(), nil
}

// entry is one model of the list: LiteLLM's own keys.
type entry map[string]any

func (e entry) provider() string { return e.text("litellm_provider") }

func (e entry) text(key string) string {
	s, _ := e[key].(string)
	return s
}

func (e entry) yes(key string) bool {
	b, _ := e[key].(bool)
	return b
}

// count is a number of tokens; the list has a few as text or with a fraction.
func (e entry) count(key string) int {
	switch v := e[key].(type) {
	case float64:
		return int(min(max(v, 0), maxCounting))
	case string:
		n, err := strconv.Atoi(v)
		if err == nil {
			return clamp(n, maxCounting)
		}
	}
	return 0
}

// nano is dollars (per token or call) as nano-USD, rounded; false if there are
// none or they are out of range.
func (e entry) nano(key string) (int64, bool) {
	usd, ok := e[key].(float64)
	if !ok || !finite(usd, maxPrice/1e9) {
		return 0, false
	}
	return timesHalfUp(big.NewInt(1_000_000_000), usd).Int64(), true
}

// importer writes the models it is given.
type importer struct {
	providers map[string]Provider
	ids       map[string]bool
	models    bytes.Buffer
}

// model writes one entry, unless a catalog has no place for it.
func (im *importer) model(name string, p Provider, e entry) {
	mode := Mode(e.text("mode"))
	input, priced := e.nano("input_cost_per_token")
	dimensions := e.count("output_vector_size")
	upstream := strings.TrimPrefix(name, e.provider()+"/")
	switch {
	case upstream == "",
		mode != ModeChat && mode != ModeEmbedding && mode != ModeRerank,
		mode != ModeRerank && !priced,
		mode == ModeEmbedding && (dimensions < 1 || dimensions > maxDimensions): // unknown length of the vectors
		return
	}
	im.providers[p.ID] = p
	w := &im.models
	fmt.Fprintf(w, "  - id: %s\n    provider: %s\n    upstream: %s\n    mode: %s\n", im.id(upstream), p.ID, strconv.Quote(upstream), mode)
	if mode == ModeEmbedding {
		fmt.Fprintf(w, "    dimensions: %d\n", dimensions)
	}
	im.context(e)
	im.price(e, input, mode)
	im.supports(e, mode)
	day := e.text("deprecation_date")
	if _, err := time.Parse(time.DateOnly, day); err == nil {
		fmt.Fprintf(w, "    deprecated: %s\n", day)
	}
}

var (
	notInName    = regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	abovePattern = regexp.MustCompile(`^input_cost_per_token_above_(\d+)(k?)_tokens$`)
)

// id makes a name of ours, each only once.
func (im *importer) id(upstream string) string {
	base := strings.Trim(notInName.ReplaceAllString(upstream, "-"), "-")
	base = base[:min(len(base), 58)]
	if base == "" {
		base = "model"
	}
	id := base
	for n := 2; im.ids[id]; n++ {
		id = base + "-" + strconv.Itoa(n)
	}
	im.ids[id] = true
	return id
}

func (im *importer) context(e entry) {
	input, output := e.count("max_input_tokens"), e.count("max_output_tokens")
	if input == 0 {
		input = e.count("max_tokens")
	}
	fmt.Fprintf(&im.models, "    context: {input: %d, output: %d}\n", input, output)
}

func (im *importer) price(e entry, input int64, mode Mode) {
	parts := []string{fmt.Sprintf("input: %d", input)}
	add := func(field, key string) {
		if n, ok := e.nano(key); ok {
			parts = append(parts, fmt.Sprintf("%s: %d", field, n))
		}
	}
	add("cached", "cache_read_input_token_cost")
	add("cache_write", "cache_creation_input_token_cost")
	output, _ := e.nano("output_cost_per_token")
	if mode == ModeChat {
		parts = append(parts, fmt.Sprintf("output: %d", output))
	}
	add("request", "input_cost_per_query")
	if above := e.above(output); above != "" {
		parts = append(parts, "above: ["+above+"]")
	}
	if tiers := e.tiers(); tiers != "" {
		parts = append(parts, "tiers: {"+tiers+"}")
	}
	fmt.Fprintf(&im.models, "    price: [{%s}]\n", strings.Join(parts, ", "))
}

// above is the prices of long inputs, the smallest threshold first.
func (e entry) above(output int64) string {
	texts := map[int]string{}
	for key := range e {
		m := abovePattern.FindStringSubmatch(key)
		input, ok := e.nano(key)
		if m == nil || !ok {
			continue
		}
		threshold, err := strconv.Atoi(m[1])
		if m[2] == "k" {
			threshold *= 1000
		}
		if err != nil || threshold < 1 {
			continue
		}
		suffix := strings.TrimPrefix(key, "input_cost_per_token")
		long, ok := e.nano("output_cost_per_token" + suffix)
		if !ok {
			long = output
		}
		text := fmt.Sprintf("{input_tokens: %d, input: %d", threshold, input)
		if n, ok := e.nano("cache_read_input_token_cost" + suffix); ok {
			text += fmt.Sprintf(", cached: %d", n)
		}
		if n, ok := e.nano("cache_creation_input_token_cost" + suffix); ok {
			text += fmt.Sprintf(", cache_write: %d", n)
		}
		texts[threshold] = text + fmt.Sprintf(", output: %d}", long)
	}
	var out []string
	for _, threshold := range slices.Sorted(maps.Keys(texts)) {
		out = append(out, texts[threshold])
	}
	return strings.Join(out, ", ")
}

// tiers is the factor of each service tier, to four decimals: the price of
// output in it by the standard one, or of input for models without output.
func (e entry) tiers() string {
	var out []string
	for _, t := range []struct{ name, suffix string }{{"batch", "_batches"}, {"flex", "_flex"}, {"priority", "_priority"}} {
		for _, key := range []string{"output_cost_per_token", "input_cost_per_token"} {
			standard, _ := e[key].(float64)
			tier, ok := e[key+t.suffix].(float64)
			if factor := tier / standard; ok && standard > 0 && finite(factor, maxFactor) {
				rounded, _ := strconv.ParseFloat(strconv.FormatFloat(factor, 'f', 4, 64), 64)
				out = append(out, t.name+": "+strconv.FormatFloat(rounded, 'f', -1, 64))
				break
			}
		}
	}
	return strings.Join(out, ", ")
}

func (im *importer) supports(e entry, mode Mode) {
	if mode != ModeChat {
		return
	}
	var parts []string
	if e.yes("supports_function_calling") {
		parts = append(parts, "tools: true")
	}
	if e.yes("supports_response_schema") {
		parts = append(parts, "json_schema: strict")
	}
	if len(parts) > 0 {
		fmt.Fprintf(&im.models, "    supports: {%s}\n", strings.Join(parts, ", "))
	}
}

// file is the catalog of all that was written.
func (im *importer) file() []byte {
	var b bytes.Buffer
	b.WriteString("# Made from LiteLLM's list of models and prices: check what you use, and add the\n# limits of your account (limits: {rpm: ..., tpm: ...}) to each model.\nversion: 1\nproviders:\n")
	for _, id := range slices.Sorted(maps.Keys(im.providers)) {
		p := im.providers[id]
		fmt.Fprintf(&b, "  - id: %s\n    base_url: %s\n    dialect: %s\n", p.ID, p.BaseURL, p.Use)
		if p.KeyEnv != "" {
			fmt.Fprintf(&b, "    api_key_env: %s\n", p.KeyEnv)
		}
	}
	b.WriteString("models:\n")
	b.Write(im.models.Bytes())
	return b.Bytes()
}
