package catalog

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"time"
)

// openAIText and simText are the catalogs that are used without a file.
var (
	//go:embed default_openai.yaml
	openAIText []byte
	//go:embed default_sim.yaml
	simText []byte
)

// keyOpenAI is the variable whose presence chooses OpenAI.
const keyOpenAI = "OPENAI_API_KEY"

// DefaultText is the file that stands in for one that was not given: OpenAI's
// models if env (os.Getenv, say) has OPENAI_API_KEY, else the simulator at
// simURL, an address up to and including the version. Both name their models
// small, large and embed.
func DefaultText(env func(string) string, simURL string) []byte {
	if env(keyOpenAI) != "" {
		return openAIText
	}
	return bytes.Replace(simText, []byte("base_url: SIM_URL"), []byte("base_url: "+strconv.Quote(simURL)), 1)
}

// Default is the catalog of DefaultText.
func Default(env func(string) string, simURL string) (*Catalog, error) {
	c, err := Parse(DefaultText(env, simURL), time.Time{})
	if err != nil {
		return nil, fmt.Errorf("reading the default catalog: %w", err)
	}
	return c, nil
}
