package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
)

// catalogCmd works on catalog files; it needs no running Weir.
type catalogCmd struct {
	Check  catalogCheckCmd  `cmd:"" help:"Check a catalog file; each mistake is shown with its line."`
	Show   catalogShowCmd   `cmd:"" help:"Show the models of a catalog, with prices per million tokens and limits."`
	Import catalogImportCmd `cmd:"" help:"Make a catalog from a list of another project."`
}

// simulatorURL is where weir dev llmsim listens in the examples.
const simulatorURL = "http://127.0.0.1:8087/v1"

// catalogText is the file, or what stands in for one.
func catalogText(file string) ([]byte, error) {
	if file == "" {
		return catalog.DefaultText(os.Getenv, simulatorURL), nil
	}
	return readFile(file)
}

// readFile reads a file named on the command line.
func readFile(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, coded(exitUsage, "no file %s", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return data, nil
}

// readCatalog reads and checks the file, or what stands in for one, and the
// policies, if there are any.
func readCatalog(file, policies string, now time.Time) (*catalog.Catalog, error) {
	data, err := catalogText(file)
	if err != nil {
		return nil, err
	}
	c, err := catalog.Parse(data, now)
	if err != nil {
		return nil, coded(exitUsage, "%s is not valid:\n%w", cmp.Or(file, "the default catalog"), err)
	}
	if policies == "" {
		return c, nil
	}
	if c, err = (catalog.Files{Policies: policies}).Load(c, now); err != nil {
		return nil, coded(exitUsage, "the policies are not valid:\n%w", err)
	}
	return c, nil
}

// withTenants is the catalog with a tenants file, if there is one.
func withTenants(c *catalog.Catalog, file string, now time.Time) (*catalog.Catalog, error) {
	if file == "" {
		return c, nil
	}
	with, err := (catalog.Files{Tenants: file}).Load(c, now)
	if err != nil {
		return nil, coded(exitUsage, "the tenants are not valid:\n%w", err)
	}
	return with, nil
}

type catalogCheckCmd struct {
	File     string `arg:"" optional:"" env:"WEIR_CATALOG" help:"Catalog file (default: the built-in catalog)."`
	Policies string `env:"WEIR_POLICIES" placeholder:"FILE" help:"Policies file to check with it."`
	Tenants  string `env:"WEIR_TENANTS" placeholder:"FILE" help:"Tenants file to check with it."`
}

// Run checks a catalog and prints what is in it.
func (c *catalogCheckCmd) Run(e *env) error {
	now := time.Now()
	cat, err := readCatalog(c.File, c.Policies, now)
	if err != nil {
		return err
	}
	if cat, err = withTenants(cat, c.Tenants, now); err != nil {
		return err
	}
	var old []string
	for _, m := range cat.Models {
		if m.DeprecatedAt(now) {
			old = append(old, m.ID)
		}
	}
	if e.JSON {
		return e.printJSON(map[string]any{"revision": cat.Revision, "providers": len(cat.Providers), "models": len(cat.Models), "tenants": len(cat.Tenants), "tasks": cat.Tasks(), "deprecated": old})
	}
	fmt.Fprintf(e.out, "%s is valid: revision %s, %s, %s, %s.\n", cmp.Or(c.File, "the default catalog"), cat.Revision,
		plural(len(cat.Providers), "provider"), plural(len(cat.Models), "model"), plural(len(cat.Tenants), "tenant"))
	if tasks := cat.Tasks(); len(tasks) > 0 {
		fmt.Fprintf(e.out, "Tasks: %s.\n", strings.Join(tasks, ", "))
	}
	for _, id := range old {
		m, _ := cat.Model(id)
		fmt.Fprintf(e.err, "warning: model %s is deprecated since %s\n", id, m.Deprecated)
	}
	return nil
}

type catalogShowCmd struct {
	Model string `arg:"" optional:"" help:"Only this model (id or alias)."`
	File  string `env:"WEIR_CATALOG" help:"Catalog file (default: the built-in catalog)."`
	Text  bool   `help:"Print the file itself, to start one of your own."`
}

// catalogLine is one model as weir catalog show prints it.
type catalogLine struct {
	ID       string           `json:"id"`
	Provider string           `json:"provider"`
	Upstream string           `json:"upstream"`
	Mode     string           `json:"mode"`
	Input    string           `json:"input_usd_per_million,omitempty"`
	Output   string           `json:"output_usd_per_million,omitempty"`
	Group    string           `json:"limit_group"`
	Limits   map[string]int64 `json:"limits,omitempty"`
	Chain    []string         `json:"chain"` // itself, then what is tried after it
}

// Run shows the models.
func (c *catalogShowCmd) Run(e *env) error {
	if c.Text {
		data, err := catalogText(c.File)
		if err != nil {
			return err
		}
		_, err = e.out.Write(data)
		return err
	}
	now := time.Now()
	cat, err := readCatalog(c.File, "", now)
	if err != nil {
		return err
	}
	models := cat.Models
	if c.Model != "" {
		m, ok := cat.Model(c.Model)
		if !ok {
			return coded(exitUsage, "no model %q in the catalog", c.Model)
		}
		models = []catalog.Model{m}
	}
	var lines []catalogLine
	for _, m := range models {
		lines = append(lines, lineOf(cat, m, now))
	}
	return e.printModels(lines)
}

func lineOf(cat *catalog.Catalog, m catalog.Model, now time.Time) catalogLine {
	l := catalogLine{ID: m.ID, Provider: m.Provider, Upstream: m.Upstream, Mode: string(m.Mode),
		Group: m.Group(), Limits: m.Limits.Numbers(), Chain: cat.Chain(m.ID)}
	maps.DeleteFunc(l.Limits, func(_ string, n int64) bool { return n == 0 })
	if p, ok := m.PriceAt(now); ok {
		l.Input, l.Output = perMillion(p.Input), perMillion(p.Output)
	}
	return l
}

// perMillion is nano-USD per token as dollars per million tokens: a thousandth.
func perMillion(nano int64) string {
	return strconv.FormatInt(nano/1000, 10) + fmt.Sprintf(".%03d", nano%1000)
}

func (e *env) printModels(lines []catalogLine) error {
	if e.JSON {
		return printLines(e, lines)
	}
	return e.table("the catalog", func(w io.Writer) {
		fmt.Fprintln(w, "MODEL\tPROVIDER\tUPSTREAM\tMODE\tUSD/M IN\tUSD/M OUT\tLIMITS\tFALLBACK")
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, l.Provider, l.Upstream, l.Mode, cmp.Or(l.Input, "-"), cmp.Or(l.Output, "-"),
				cmp.Or(limitText(l.Limits), "-"), cmp.Or(strings.Join(l.Chain[1:], ", "), "-"))
		}
	})
}

// limitText is the limits in one order.
func limitText(limits map[string]int64) string {
	var parts []string
	for _, name := range catalog.Dimensions() {
		if n, ok := limits[name]; ok {
			parts = append(parts, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(parts, ", ")
}

type catalogImportCmd struct {
	Litellm importLiteLLMCmd `cmd:"" name:"litellm" help:"Print a catalog made from LiteLLM's model_prices_and_context_window.json."`
}

type importLiteLLMCmd struct {
	File     string `arg:"" help:"LiteLLM's JSON file."`
	Provider string `help:"Only models of this provider, by LiteLLM's name (litellm_provider)."`
	Match    string `placeholder:"REGEX" help:"Only models whose name in the list matches."`
}

// Run prints the catalog.
func (c *importLiteLLMCmd) Run(e *env) error {
	filter := catalog.Filter{Provider: c.Provider}
	if c.Match != "" {
		var err error
		if filter.Match, err = regexp.Compile(c.Match); err != nil {
			return coded(exitUsage, "--match: %w", err)
		}
	}
	data, err := readFile(c.File)
	if err != nil {
		return err
	}
	text, err := catalog.ImportLiteLLM(bytes.NewReader(data), filter)
	if err != nil {
		return coded(exitUsage, "%s: %w", c.File, err)
	}
	_, err = e.out.Write(text)
	return err
}
