package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/schema"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	answer := json.RawMessage(`{"total":30,"lines":[{"amount":10},{"amount":20.5}],"name":"Ann Lee","tags":["a","b"],"n":2}`)
	for name, tc := range map[string]struct {
		expr    string
		text    bool // no schema
		message string
		want    string // part of the violation, "" for none
	}{
		"holds":              {expr: `answer.total > 0`, want: ""},
		"does not hold":      {expr: `answer.total > 100`, want: "does not hold: answer.total > 100"},
		"own words":          {expr: `answer.total > 100`, message: "the total is too small", want: "the total is too small"},
		"all":                {expr: `answer.lines.all(l, l.amount > 0)`, want: ""},
		"exists":             {expr: `answer.lines.exists(l, l.amount > 20)`, want: ""},
		"mixed numbers":      {expr: `answer.lines[0].amount + answer.lines[1].amount == 30.5`, want: ""},
		"near":               {expr: `math.abs(answer.total - 30.4) < 0.5`, want: ""},
		"length":             {expr: `size(answer.tags) == answer.n`, want: ""},
		"text functions":     {expr: `answer.name.lowerAscii().split(" ").size() == 2`, want: ""},
		"in the question":    {expr: `answer.tags.all(t, question.contains(t))`, want: ""},
		"the raw answer":     {expr: `text.startsWith("raw")`, want: ""},
		"text without":       {expr: `answer.matches("^raw [a-z]+$") && answer == text`, text: true, want: ""},
		"has":                {expr: `!has(answer.gone) || answer.gone > 1`, want: ""},
		"missing":            {expr: `answer.gone > 1`, want: "can't be evaluated (no such key: gone)"},
		"out of bounds":      {expr: `answer.tags[7] == "a"`, want: "can't be evaluated"},
		"wrong types":        {expr: `answer.name > 3`, want: "can't be evaluated"},
		"no boolean":         {expr: `answer.total`, want: "not a boolean"},
		"documented 1":       {expr: `math.abs(answer.total - answer.n * 15.0) < 0.01`, want: ""},
		"documented 2":       {expr: `answer.name.size() == 0 || question.contains(answer.tags[0])`, want: ""},
		"documented 3":       {expr: `!has(answer.email) || answer.email.endsWith("@example.com")`, want: ""},
		"too dear":           {expr: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > answer.n))))))`, want: "cost"},
		"a member of a text": {expr: `answer.total > 1`, text: true, want: "can't be evaluated"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := schema.CompileChecks([]schema.Check{{Name: "one", Expr: tc.expr, Message: tc.message}})
			if err != nil {
				t.Fatal(err)
			}
			v := schema.Values{Answer: answer, Text: "raw text", Question: "a and b?"}
			if tc.text {
				v.Answer = nil
			}
			found := c.Eval(t.Context(), v)
			switch {
			case tc.want == "" && found == nil:
			case tc.want == "" || len(found) != 1 || found[0].Keyword != "one" || !strings.Contains(found[0].Message, tc.want):
				t.Errorf("got %v, want %q", found, tc.want)
			}
		})
	}
}

func TestCompileChecksRefuses(t *testing.T) {
	t.Parallel()
	one := func(expr string) []schema.Check { return []schema.Check{{Name: "total", Expr: expr}} }
	for name, tc := range map[string]struct {
		list        []schema.Check
		field, part string
	}{
		"syntax":        {one(`answer.total >`), "checks.total.expr", "Syntax error"},
		"unknown name":  {one(`anwser.total > 1`), "checks.total.expr", "anwser"},
		"unknown call":  {one(`text.shout()`), "checks.total.expr", "shout"},
		"no boolean":    {one(`size(text)`), "checks.total.expr", "gives a int"},
		"bad pattern":   {one(`text.matches("(?=x)")`), "checks.total.expr", "regexp"},
		"huge pattern":  {one(`text.matches("(a{1,100}){1,100}")`), "checks.total.expr", ""},
		"long":          {one(`text == "` + strings.Repeat("x", 3000) + `"`), "checks.total.expr", "size"},
		"deep":          {one(strings.Repeat("(", 900) + "true" + strings.Repeat(")", 900)), "checks.total.expr", ""},
		"empty":         {one(""), "checks.total.expr", ""},
		"no name":       {[]schema.Check{{Expr: "true"}}, "checks.name", ""},
		"same name":     {append(one("true"), one("true")...), "checks.total", "twice"},
		"too many":      {make([]schema.Check, schema.MaxChecks+1), "checks", "at most"},
		"second one":    {append(one("true"), schema.Check{Name: "b", Expr: "1"}), "checks.b.expr", "gives a int"},
		"unbounded int": {one("text.all(c, true)"), "checks.total.expr", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := schema.CompileChecks(tc.list)
			var e *event.Error
			if !errors.As(err, &e) || e.Class != event.ClassInvalid || e.Field != tc.field || !strings.Contains(e.Message, tc.part) {
				t.Errorf("got %v, want an invalid field %s, %q", err, tc.field, tc.part)
			}
		})
	}
}

// TestChecksEnd: what an answer brings can't make a check run long, and a context
// that ends ends it.
func TestChecksEnd(t *testing.T) {
	t.Parallel()
	c, err := schema.CompileChecks([]schema.Check{{Name: "pairs", Expr: `answer.all(a, answer.all(b, a != b + 1.0 || a == b + 1.0))`}})
	if err != nil {
		t.Fatal(err)
	}
	list := json.RawMessage("[" + strings.Repeat("1,", 50_000) + "1]")
	begin := time.Now()
	found := c.Eval(t.Context(), schema.Values{Answer: list})
	if len(found) != 1 || !strings.Contains(found[0].Message, "limit exceeded") || time.Since(begin) > 30*time.Second {
		t.Errorf("got %v in %s, want a limit", found, time.Since(begin))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if found := c.Eval(over, schema.Values{Answer: list}); found != nil {
		t.Errorf("got %v of a context that ended", found)
	}
	var none *schema.Checks
	if found := none.Eval(t.Context(), schema.Values{}); found != nil {
		t.Errorf("got %v of no checks", found)
	}
}

func TestVerifiers(t *testing.T) {
	t.Parallel()
	date := regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	for name, tc := range map[string]struct {
		found []schema.Violation
		want  string
	}{
		"regexp":        {schema.Regexp("2026-11-25", date), ""},
		"other":         {schema.Regexp("soon", date), "regexp"},
		"enum":          {schema.Enum(" yes\n", []string{"yes", "no"}), ""},
		"none of":       {schema.Enum("Yes", []string{"yes", "no"}), "enum"},
		"json":          {schema.JSON(`[1]`), ""},
		"fenced":        {schema.JSON("```\n[1]\n```"), ""},
		"cut":           {schema.JSON(`[1`), schema.KeywordCut},
		"prose":         {schema.JSON(`no`), schema.KeywordJSON},
		"sql":           {schema.SQL("SELECT 1"), ""},
		"no sql at all": {schema.SQL("I can't do that."), schema.KeywordSQL},
	} {
		got := ""
		if len(tc.found) > 0 {
			got = tc.found[0].Keyword
		}
		if got != tc.want {
			t.Errorf("%s: got %v, want %q", name, tc.found, tc.want)
		}
	}
}

func TestSQL(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"SELECT 1", "select * from t;", "SELECT a, count(*) FROM t WHERE b = 'it''s' GROUP BY a HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 10",
		"WITH x AS (SELECT 1) SELECT * FROM x", "INSERT INTO t (a, b) VALUES (1, 'x;y'), (2, NULL)", "UPDATE t SET a = a + 1 WHERE id IN (1, 2)",
		"DELETE FROM t", "CREATE TABLE t (id int PRIMARY KEY, b text DEFAULT ')')", "SELECT \"a b\", `c` FROM [my table] -- done; (",
		"SELECT /* ( */ 1", "SELECT $$it's ; ( $$, $tag$ ' $tag$", "SELECT * FROM t WHERE a = $1 AND b = $2", "(SELECT 1) UNION (SELECT 2)",
		`SELECT * FROM t WHERE a = 'it\'s'`, "```sql\nSELECT 1;\n```", "SELECT CASE WHEN a IS NULL THEN 0 ELSE 1 END FROM t", "SELECT 1.5, -2, a->>'b', x::int FROM t",
		"EXPLAIN SELECT 1", "SELECT naïve FROM tä", "BEGIN; SELECT 1; END;",
	} {
		if found := schema.SQL(text); found != nil {
			t.Errorf("%s: %v", text, found)
		}
	}
	for text, part := range map[string]string{
		"":                              "no statement",
		" ;; ":                          "no statement",
		"-- nothing":                    "no statement",
		"The query is SELECT 1":         "no verb",
		"SELECT (1":                     "not closed",
		"SELECT 1)":                     "closes nothing",
		"SELECT (1]":                    "closes nothing",
		"SELECT 'a":                     "no end",
		"SELECT \"a":                    "no end",
		"SELECT /* a":                   "no end",
		"SELECT $$a":                    "no end",
		"SELECT 1; DROP TABLE t":        "more than one",
		"SELECT a, FROM t":              "follows",
		"SELECT a,, b FROM t":           "follows",
		"SELECT a FROM":                 "follows",
		"SELECT a FROM t WHERE":         "follows",
		"SELECT a FROM t WHERE b =":     "follows",
		"SELECT f(, 1)":                 "comma",
		"SELECT * FROM (SELECT a FROM)": "follows",
		"SELECT a FROM t WHERE b IN (":  "not closed",
		"SELECT '\xff'":                 "UTF-8",
	} {
		if found := schema.SQL(text); len(found) != 1 || !strings.Contains(found[0].Message, part) {
			t.Errorf("%s: got %v, want %q", text, found, part)
		}
	}
}

func FuzzSQL(f *testing.F) {
	f.Add("SELECT 'it''s', $$a$$ FROM [t] -- x")
	f.Add("SELECT \\'")
	f.Fuzz(func(t *testing.T, text string) {
		first := schema.SQL(text)
		if again := schema.SQL(text); !slices.Equal(first, again) {
			t.Errorf("%q: %v, then %v", text, first, again)
		}
	})
}

func BenchmarkChecks(b *testing.B) {
	c, err := schema.CompileChecks([]schema.Check{
		{Name: "total", Expr: `answer.total >= 0.0`},
		{Name: "lines", Expr: `answer.lines.all(l, l.amount > 0.0)`},
	})
	if err != nil {
		b.Fatal(err)
	}
	v := schema.Values{Answer: json.RawMessage(invoiceAnswer), Text: invoiceAnswer, Question: "q"}
	b.ReportAllocs()
	for b.Loop() {
		if found := c.Eval(b.Context(), v); found != nil {
			b.Fatal(found)
		}
	}
}
