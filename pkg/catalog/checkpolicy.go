package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/schema"
)

// routing reads the policies file.
func (d *decoder) routing(root ast.Node, r *Routing) { d.decode(root, reflect.ValueOf(r).Elem(), "") }

// maxSamples bounds the calls of one paid signal.
const maxSamples = 10

// routing checks a policies file against the catalog's models.
func (k *checker) routing(table []byte) {
	r := k.c.Routing
	if r.Version != 1 {
		k.fail("version", "write version: 1", "version is %d, want 1", r.Version)
	}
	if r.Reference == "" {
		k.fail("reference", "name the model that quality is measured against", "missing")
	} else {
		k.chat("reference", r.Reference)
	}
	k.audit(&r.Audit, "audit")
	if len(r.Tasks) == 0 {
		k.fail("tasks", "list at least one, such as - {task: default, chain: [small, large]}", "no task")
	}
	names := map[string]string{}
	for i := range r.Tasks {
		path := fmt.Sprintf("tasks[%d]", i)
		k.name(path+".task", r.Tasks[i].Task, names)
		k.policy(&r.Tasks[i], path)
	}
	k.table(r, table)
}

// table reads the policy table, whose models must all be the catalog's.
func (k *checker) table(r *Routing, data []byte) {
	if r.Table == "" {
		return
	}
	table, err := cascade.ReadTable(bytes.NewReader(data))
	if err != nil {
		k.fail("table", "write it anew with weir calibrate", "%s: %v", r.Table, err)
		return
	}
	for task, policy := range table.Tasks {
		for _, tier := range policy.Chain {
			if m, ok := k.c.Model(tier.Model); !ok || m.Mode != ModeChat {
				k.fail("table", "calibrate with the models of this catalog, or add the model", "%s: task %s has the model %q, which is no chat model of the catalog", r.Table, task, tier.Model)
				return
			}
		}
	}
	r.Learned = table
}

// chat checks that a model is there and chats, and returns it.
func (k *checker) chat(path, name string) (Model, bool) {
	m, ok := k.c.Model(name)
	if !ok || m.Mode != ModeChat {
		var known []string
		for _, m := range k.c.ChatModels() {
			known = append(known, m.ID)
		}
		k.fail(path, "use one of "+strings.Join(known, ", "), "no chat model %q", name)
		return m, false
	}
	return m, true
}

func (k *checker) policy(p *Policy, path string) {
	if len(p.Chain) == 0 {
		k.fail(path+".chain", "list at least one model, the cheapest first", "no model")
	}
	k.chain(p, path)
	for i, name := range p.Fallback {
		k.chat(fmt.Sprintf("%s.fallback[%d]", path, i), name)
	}
	k.oneOf(path+".exhausted", p.Exhausted, "", ExhaustedBestEffort, ExhaustedFail, ExhaustedTemplate)
	k.oneOf(path+".stream", p.Stream, "", StreamFinal, StreamEager)
	k.oneOf(path+".latency.start", p.Latency.Start, "", StartSequential, StartParallel)
	if (p.Exhausted == ExhaustedTemplate) != (p.Template != "") {
		k.fail(path+".template", "write exhausted: template and the text of the template, or neither", "exhausted is %q, template is %q", p.Exhausted, p.Template)
	}
	if p.Latency.Within < 0 {
		k.fail(path+".latency.within", "write a duration such as 8s, or leave it out", "%s is negative", p.Latency.Within)
	}
	if p.Latency.Start == StartParallel && len(p.Chain) < 2 {
		k.fail(path+".latency.start", "list two models in chain, or leave it out", "parallel with one model")
	}
	if l := p.MaxQualityLoss; l != nil && !finite(*l, 1) {
		k.fail(path+".max_quality_loss", "write a part of the answers, such as 0.01", "%v, want 0 to 1", *l)
	}
	k.accept(p, path+".accept")
	k.cache(&p.Cache, path+".cache")
	if p.Audit != nil {
		k.audit(p.Audit, path+".audit")
	}
}

// chain checks the models of a policy: each once, and one at least that can do it.
func (k *checker) chain(p *Policy, path string) {
	for i, need := range p.Requires {
		k.oneOf(fmt.Sprintf("%s.requires[%d]", path, i), need, "tools", "json_schema", "logprobs", "seed")
	}
	var seen, lacking []string
	for i, name := range p.Chain {
		at := fmt.Sprintf("%s.chain[%d]", path, i)
		m, ok := k.chat(at, name)
		if !ok {
			return
		}
		if slices.Contains(seen, m.ID) {
			k.fail(at, "name each model once", "%q is there twice", m.ID)
		}
		seen = append(seen, m.ID)
		if lacks := m.Lacks(p.Requires); len(lacks) > 0 {
			lacking = append(lacking, fmt.Sprintf("%s lacks %s", m.ID, strings.Join(lacks, ", ")))
		}
	}
	if r, ok := k.c.Model(k.c.Routing.Reference); ok && len(p.Chain) > 1 && (p.Accept.Tau == nil || p.Accept.Tau.Auto) {
		if lacks := r.Lacks(p.Requires); len(lacks) > 0 {
			k.fail(path+".requires", "write a number for accept.tau, or name a reference that has it: it answers until thresholds are known", "the reference %s lacks %s", r.ID, strings.Join(lacks, ", "))
		}
	}
	if len(seen) > 0 && len(lacking) == len(seen) {
		k.fail(path+".chain", "add a model with what requires names, or correct supports in the catalog", "no model can do it: %s", strings.Join(lacking, "; "))
	}
}

// Lacks names those of the capabilities (tools, json_schema, logprobs, seed) that
// the model does not have.
func (m Model) Lacks(capabilities []string) []string {
	has := map[string]bool{"tools": m.Supports.Tools, "json_schema": m.Supports.JSONSchema != "", "logprobs": m.Supports.Logprobs, "seed": m.Supports.Seed}
	var out []string
	for _, c := range capabilities {
		if !has[c] {
			out = append(out, c)
		}
	}
	return out
}

func (k *checker) accept(p *Policy, path string) {
	a := &p.Accept
	if t := a.Tau; t != nil && !t.Auto && !finite(t.Value, 1) {
		k.fail(path+".tau", "write auto, or a number from 0 to 1", "tau is %v", t.Value)
	}
	if t := a.Tau; t != nil && t.Value > 0 && len(p.Chain) == 1 && p.Exhausted != ExhaustedFail && p.Exhausted != ExhaustedTemplate {
		k.fail(path+".tau", "add a model to chain, or write exhausted: fail", "the only model's answer is given in any case")
	}
	if t := a.Tau; t != nil && t.Auto && len(p.Chain) == 1 {
		k.fail(path+".tau", "add a model to chain, or leave tau out", "there is nothing to learn of one model")
	}
	for i, v := range a.Verify {
		k.oneOf(fmt.Sprintf("%s.verify[%d]", path, i), v, event.Verifiers()...)
	}
	for i, s := range a.Paid {
		at := fmt.Sprintf("%s.paid[%d]", path, i)
		k.oneOf(at+".signal", s.Signal, cascade.Agree, cascade.Judge)
		k.chat(at+".model", s.Model)
		if slices.ContainsFunc(a.Paid[:i], func(other event.PaidSignal) bool { return other.Signal == s.Signal }) {
			k.fail(at+".signal", "buy each signal once", "%q is there twice", s.Signal)
		}
		if s.K < 0 || s.K > maxSamples {
			k.fail(at+".k", fmt.Sprintf("write 1 to %d", maxSamples), "k is %d", s.K)
		}
	}
	if _, err := regexp.Compile(a.Pattern); err != nil {
		k.fail(path+".pattern", "write a regular expression as RE2 has them", "%v", err)
	}
	if a.Schema != nil && (len(a.Enum) > 0 || a.Pattern != "") {
		k.fail(path+".schema", "write pattern and enum inside the schema", "a schema contradicts enum and pattern, which are about the whole text")
	}
	k.fails(path+".schema", a.checkSchema())
	_, err := schema.CompileChecks(a.Checks)
	k.fails(path+".checks", err)
}

func (a Accept) checkSchema() error {
	data, err := a.SchemaJSON()
	if err != nil || data == nil {
		return err
	}
	_, err = schema.Compile(data)
	return err
}

// fails reports the error of something that was compiled.
func (k *checker) fails(path string, err error) {
	var e *event.Error
	switch {
	case errors.As(err, &e):
		k.fail(path, e.Hint, "%s: %s", e.Field, e.Message)
	case err != nil:
		k.fail(path, "see docs/structured.md", "%v", err)
	}
}

func (k *checker) cache(c *CachePolicy, path string) {
	if c.Exact < 0 {
		k.fail(path+".exact", "write a duration such as 1h, or leave it out", "%s is negative", c.Exact)
	}
	if c.Semantic && c.Exact == 0 {
		k.fail(path+".semantic", "write exact: 1h, how long answers are kept", "semantic without exact")
	}
	if !finite(c.Similarity, 1) {
		k.fail(path+".similarity", "write a cosine such as 0.9, or leave it out", "similarity is %v, want 0 to 1", c.Similarity)
	}
	if !finite(c.Audit, 1) {
		k.fail(path+".audit", "write a part of the hits, such as 0.05", "audit is %v, want 0 to 1", c.Audit)
	}
}

func (k *checker) audit(a *Audit, path string) {
	if a.Rate != nil && !finite(*a.Rate, 1) {
		k.fail(path+".rate", "write a part of the answers, such as 0.05", "rate is %v, want 0 to 1", *a.Rate)
	}
	if _, err := parseUSD(a.MaxUSDPerDay); a.MaxUSDPerDay != "" && err != nil {
		k.fail(path+".max_usd_per_day", `write dollars, such as "20"`, "%q is not an amount", a.MaxUSDPerDay)
	}
}
