package cache

import "math"

const (
	// MaxFalse is the largest acceptable share of false hits.
	MaxFalse = 0.005
	// AuditsEnough is from how many audits on the upper bound decides. With less,
	// one false hit alone would exceed MaxFalse.
	AuditsEnough = 2000
	// AuditsLeast is from how many audits on the lower bound decides.
	AuditsLeast = 50
	// FalseLeast is from how many false hits on it does: one among the first few
	// audits says little.
	FalseLeast = 3
	// auditWindow is when old audits begin to count less.
	auditWindow = 10_000
)

// FalseHits estimates the share of hits whose answer was wrong, from audits. The
// zero value is ready. Old audits count less: at 10,000 both counts are halved.
type FalseHits struct {
	Audits int `json:"audits"`
	False  int `json:"false"`
}

// Observe counts one audit.
func (f *FalseHits) Observe(wrong bool) {
	f.Audits++
	if wrong {
		f.False++
	}
	if f.Audits >= auditWindow {
		f.Audits, f.False = f.Audits/2, (f.False+1)/2
	}
}

// Rate is the share observed, 0 without audits.
func (f FalseHits) Rate() float64 {
	if f.Audits == 0 {
		return 0
	}
	return float64(f.False) / float64(f.Audits)
}

// Bounds is the 95 % interval of the share, by Wilson's score (Wilson 1927,
// z = 1.96); 0 and 1 without audits.
func (f FalseHits) Bounds() (lower, upper float64) {
	if f.Audits == 0 {
		return 0, 1
	}
	const z = 1.959964
	n, p := float64(f.Audits), f.Rate()
	middle := p + z*z/(2*n)
	half := z * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(0, (middle-half)/(1+z*z/n)), min(1, (middle+half)/(1+z*z/n))
}

// Allowed reports whether hits may be used: false once the share is above
// [MaxFalse] with certainty (the lower bound is, from [AuditsLeast] audits with
// [FalseLeast] false ones on), or, from [AuditsEnough] audits on, can't be shown to
// be below it (the upper bound is above). Who goes on auditing while hits are not
// used sees it come back.
func (f FalseHits) Allowed() bool {
	lower, upper := f.Bounds()
	certain := f.Audits >= AuditsLeast && f.False >= FalseLeast && lower > MaxFalse
	return !certain && (f.Audits < AuditsEnough || upper <= MaxFalse)
}
