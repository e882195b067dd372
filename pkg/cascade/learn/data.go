package learn

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/murmur3"

	"github.com/weir-dev/weir/pkg/cascade"
)

// data are the rows, prepared once for all the fits on parts of them. Labels take
// no part in the preparation.
type data struct {
	opt    Options
	rows   []Row
	y, w   []float64
	linear columns
	trees  *binned
	texts  *hashed
	tasks  []string // by row
	many   bool     // more than one task
}

func newData(rows []Row, opt Options) (*data, error) {
	if err := check(rows, opt); err != nil {
		return nil, err
	}
	d := &data{opt: opt, rows: rows}
	for _, r := range rows {
		weight := r.Weight
		if weight == 0 {
			weight = 1
		}
		d.y, d.w, d.tasks = append(d.y, r.OK), append(d.w, weight), append(d.tasks, r.Evidence.Task)
		d.many = d.many || r.Evidence.Task != rows[0].Evidence.Task
	}
	d.prepare()
	return d, nil
}

// auto reports whether cross-validation chooses the parts.
func (d *data) auto() bool { return !d.opt.Linear && !d.opt.Trees && !d.opt.Text && !d.opt.TaskMean }

// prepare makes what the parts need that may be used.
func (d *data) prepare() {
	names := d.opt.Features
	if names == nil {
		names = present(d.rows)
	}
	if d.opt.Question {
		names = union(names, cascade.QuestionFeatureNames())
	}
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(cueRank(a), cueRank(b)) })
	raw := rawFeatures(d.rows, names)
	if d.opt.Linear || d.auto() {
		terms, feature := termsOf(names, raw)
		d.linear = newColumns(terms, raw, feature)
	}
	several := d.auto() && len(d.rows) >= minParts
	if d.opt.Trees || several {
		d.trees = newBinned(names, raw, defaultBoosting().maxBins)
	}
	if d.opt.Text || several {
		d.texts = newHashed(d.rows)
	}
}

// cueRank puts the cues of the question behind the other features.
func cueRank(name string) string {
	if isCue(name) {
		return "1"
	}
	return "0"
}

func isCue(name string) bool { return strings.HasPrefix(name, "q_") }

// present are the features that any row has, sorted.
func present(rows []Row) []string {
	found := map[string]struct{}{}
	for _, r := range rows {
		for name := range r.Evidence.Features {
			found[name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// rawFeatures are the named features of each row, NaN where missing. Those of the
// question come from its text if they are not given.
func rawFeatures(rows []Row, names []string) [][]float64 {
	asked := slices.ContainsFunc(names, isCue)
	raw := make([][]float64, len(rows))
	for i, r := range rows {
		var cues cascade.Features
		if asked && r.Evidence.Question != "" {
			cues = cascade.QuestionFeatures(r.Evidence.Question)
		}
		raw[i] = make([]float64, len(names))
		for j, name := range names {
			value, ok := r.Evidence.Features[name]
			if !ok {
				value, ok = cues[name]
			}
			if !ok || math.IsInf(value, 0) {
				value = math.NaN()
			}
			raw[i][j] = value
		}
	}
	return raw
}

// termsOf are the forms of each feature, with its column in raw: three of a
// confidence, one of others, and one for its absence where it may be missing.
func termsOf(names []string, raw [][]float64) (terms []cascade.Term, feature []int) {
	for j, name := range names {
		forms := formsOf(name)
		if slices.ContainsFunc(raw, func(row []float64) bool { return math.IsNaN(row[j]) }) {
			forms = append(forms, cascade.FormMissing)
		}
		for _, form := range forms {
			terms, feature = append(terms, cascade.Term{Feature: name, Form: form}), append(feature, j)
		}
	}
	return terms, feature
}

func formsOf(name string) []cascade.Form {
	switch {
	case name == "logp" || strings.HasPrefix(name, "logprob"):
		return []cascade.Form{cascade.FormExp, cascade.FormExpLog, cascade.FormExpLogRest}
	case name == cascade.Judge || name == "confidence" || strings.HasPrefix(name, "p_"):
		return []cascade.Form{cascade.FormPlain, cascade.FormLog, cascade.FormLogRest}
	}
	return []cascade.Form{cascade.FormPlain}
}

func (d *data) all() []int {
	rows := make([]int, len(d.rows))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// split divides rows by a seeded hash of their IDs.
func (d *data) split(rows []int, fold, folds int, seed uint64) (train, test []int) {
	for _, i := range rows {
		if FoldOf(d.rows[i].ID, folds, seed) == fold {
			test = append(test, i)
		} else {
			train = append(train, i)
		}
	}
	return train, test
}

// FoldOf is the fold of an ID, from 0 to folds-1, by a seeded hash.
func FoldOf(id string, folds int, seed uint64) int {
	salt := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(id)), seed)
	return int(murmur3.Sum64(append(salt, id...)) % uint64(folds)) //nolint:gosec // below folds
}
