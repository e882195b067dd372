package migration

import (
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Ask begins a migration to a model by asking what it would take. One that is
// under way is not disturbed, but for a quote. otherwise is the model in force when nothing was
// ever migrated.
func (s *State) Ask(to, otherwise, tenant string, maxLoss float64, now time.Time) error {
	current := s.Models(otherwise)[0]
	switch {
	case to == current:
		return event.Invalid("to", "name another embedding model of the catalog", "%q is in force", to)
	case s.Phase == Filling || s.Phase == Comparing:
		return event.Invalid("to", "wait for it, or see weir migrate --status", "a migration to %q is under way", s.Also)
	case s.Drop != "":
		return event.Invalid("to", "wait until it is gone", "the index of %q is being dropped", s.Drop)
	case s.Phase == Switched || s.Phase == Back:
		return event.Invalid("to", "end it first: weir migrate --end", "the index of %q is still kept for the last migration", s.Also)
	case maxLoss < 0 || maxLoss > 1:
		return event.Invalid("max_loss", "use 0 to 1", "got %g", maxLoss)
	}
	drop := ""
	if s.Also != to && (s.Phase == Failed || s.Phase == Refused) {
		drop = s.Also // nobody goes on with it
	}
	*s = State{V: event.Version, Model: current, Also: to, Drop: drop, Phase: Quoting, Tenant: tenant, MaxLoss: maxLoss, Started: now.UTC(), Updated: now.UTC()}
	return nil
}

// Go starts what was quoted, or goes on with what failed or was refused.
func (s *State) Go(now time.Time) error {
	switch s.Phase {
	case Quoted, Failed, Refused:
		s.Phase, s.Error, s.Cursor, s.Updated = Filling, "", "", now.UTC()
		s.Done, s.SpentNanoUSD = 0, 0
		return nil
	}
	return event.Invalid("migration", "ask for a quote first: weir migrate --to MODEL", "it is %q", s.Phase)
}

// Return names the model to switch back to, and makes it the one in force.
func (s *State) Return(now time.Time) error {
	switch s.Phase {
	case Switched:
		s.Phase = Back
	case Back:
		s.Phase = Switched
	default:
		return event.Invalid("migration", "only a finished migration can be taken back", "it is %q", s.Phase)
	}
	s.Model, s.Also, s.Updated = s.Also, s.Model, now.UTC()
	return nil
}

// End gives the other index up, to be dropped.
func (s *State) End(now time.Time) error {
	if s.Phase == None || s.Working() {
		return event.Invalid("migration", "wait for it, or begin one: weir migrate --to MODEL", "it is %q", s.Phase)
	}
	if s.Drop != "" {
		return event.Invalid("migration", "wait until it is gone", "the index of %q is being dropped", s.Drop)
	}
	*s = State{V: event.Version, Model: s.Model, Drop: s.Also, Updated: now.UTC()}
	return nil
}

// leaseTime is how long a worker that says nothing keeps the work.
const leaseTime = 30 * time.Second

// Claim takes or renews the lease for a worker; false when another one has it.
func (s *State) Claim(worker string, now time.Time) bool {
	if !s.Working() || s.Worker != worker && now.Before(s.Lease) {
		return false
	}
	s.Worker, s.Lease, s.Updated = worker, now.Add(leaseTime).UTC(), now.UTC()
	return true
}
