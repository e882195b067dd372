package search

import "github.com/weir-dev/weir/pkg/cascade"

// Calibrate makes the policy table for the outcomes, with figures of each policy
// that were measured by cross-fitting, and reports on them.
func Calibrate(outcomes []cascade.Outcome, o Options) (*cascade.Table, []Report, error) {
	table, err := Search(outcomes, o)
	if err != nil {
		return nil, nil, err
	}
	o.Reference = table.Reference // the folds must not choose another
	runs, err := CrossFit(outcomes, o, []Goal{{PerTask, o.MaxQualityLoss}}, 1)
	if err != nil {
		return nil, nil, err
	}
	reports := Reports(runs[0], o.Seed)
	for _, r := range reports[:len(reports)-1] {
		p := table.Tasks[r.Task]
		p.CostPer1K, p.ReferencePer1K = int64(r.ReferencePer1K), int64(r.ReferencePer1K)
		if len(p.Chain) > 1 || p.Chain[0].Model != table.Reference {
			p.QualityChange, p.Saving, p.Escalated, p.CostPer1K = r.QualityChange, r.Saving, r.Escalated, int64(r.CostPer1K)
		}
	}
	table.Version, err = table.Hash()
	return table, reports, err
}
