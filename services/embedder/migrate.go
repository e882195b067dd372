package embedder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/vector"
)

// migrator carries out what the record of the embedding model asks for: quotes,
// the filling of another model's index, the comparison, and the switch.
type migrator struct {
	s      *Service
	worker string
	// look is how often the record is looked at without a notice: a dead worker's
	// lease ends in silence.
	look  time.Duration
	ready chan struct{}
}

// lookEvery is the migrator's look.
const lookEvery = 5 * time.Second

func newMigrator(s *Service) *migrator {
	return &migrator{s: s, worker: event.NewID(s.p.Now()), look: lookEvery, ready: make(chan struct{})}
}

// Ready is closed when Run has begun.
func (m *migrator) Ready() <-chan struct{} { return m.ready }

// errLost says that another worker has the lease.
var errLost = errors.New("another embedder carries the migration out")

// Run works until ctx ends.
func (m *migrator) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	changed := make(chan struct{}, 1)
	go func() {
		err := m.s.record.Watch(ctx, func(migration.State) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
		if err != nil {
			m.s.p.Logger.Warn("watching the embedding model in force", "error", err) // the tick goes on
		}
	}()
	tick := time.NewTicker(m.look)
	defer tick.Stop()
	close(m.ready)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
		}
		if err := m.step(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, errLost) {
			m.s.p.Logger.Warn("migrating to another embedding model", "error", err)
		}
	}
}

// step does what the record asks for now.
func (m *migrator) step(ctx context.Context) error {
	state, err := m.s.record.Get(ctx)
	if err != nil {
		return err
	}
	if err := m.follow(ctx, &state); err != nil {
		return err
	}
	if !state.Working() {
		return nil
	}
	if state, err = m.claim(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go m.renew(ctx, stop)
	switch state.Phase {
	case migration.Quoting:
		err = m.quote(ctx, &state)
	case migration.Filling:
		err = m.fill(ctx, &state)
	case migration.Comparing:
		err = m.compare(ctx, &state)
	}
	if err == nil || ctx.Err() != nil || event.AsError(err).Class.Retryable() {
		return err // the next look goes on
	}
	saveErr := m.save(context.WithoutCancel(ctx), func(s *migration.State) { s.Phase, s.Error = migration.Failed, err.Error() })
	return errors.Join(err, saveErr)
}

// follow brings the store to what the record says: the alias, and what is given
// up.
func (m *migrator) follow(ctx context.Context, state *migration.State) error {
	if state.Model != "" {
		if err := m.pointTo(ctx, state.Model); err != nil {
			return err
		}
	}
	if state.Drop == "" {
		return nil
	}
	if err := m.drop(ctx, state); err != nil { // tried again; what is asked for now need not wait
		m.s.p.Logger.Warn("dropping an index that was given up", "model", state.Drop, "error", err)
	}
	return nil
}

// pointTo puts the alias on a model's index.
func (m *migrator) pointTo(ctx context.Context, model string) error {
	place, err := m.s.place(model)
	if err != nil {
		return err
	}
	now, ok, err := m.s.vectors.Current(ctx, vector.DefaultIndex)
	if err != nil {
		return err
	}
	if ok && now != place {
		if err := m.s.vectors.Switch(ctx, place); err != nil {
			return fmt.Errorf("switching to the index of %s: %w", place.Model, err)
		}
	}
	return nil
}

// drop removes the index that was given up. There is none of a model that the
// catalog does not know, as far as can be told, and that in force stays.
func (m *migrator) drop(ctx context.Context, state *migration.State) error {
	dropped := state.Drop
	inForce, err := m.s.place(state.Models(m.s.cfg.Model)[0])
	if err != nil {
		return err
	}
	old, err := m.s.place(dropped)
	switch {
	case err != nil:
		m.s.p.Logger.Warn("the catalog does not know the model of an index that was given up: if it is there, it stays", "model", dropped)
	case old != inForce:
		if err := m.s.vectors.Drop(ctx, old); err != nil {
			return err
		}
	}
	*state, err = m.s.record.Change(ctx, func(s *migration.State) error {
		if s.Drop != dropped {
			return bus.ErrKeep
		}
		s.Drop = ""
		return nil
	})
	return err
}

// renewEvery is how often the lease is renewed, well within its time.
const renewEvery = 10 * time.Second

// renew keeps the lease, or ends the work.
func (m *migrator) renew(ctx context.Context, stop context.CancelCauseFunc) {
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := m.claim(ctx); errors.Is(err, errLost) {
			stop(err)
			return
		}
	}
}

// claim takes or renews the lease and makes the changes with it, or fails with
// errLost.
func (m *migrator) claim(ctx context.Context, changes ...func(*migration.State)) (migration.State, error) {
	return m.s.record.Change(ctx, func(s *migration.State) error {
		if !s.Claim(m.worker, m.s.p.Now()) {
			return errLost
		}
		for _, change := range changes {
			change(s)
		}
		return nil
	})
}

// save changes the record as the holder of the lease.
func (m *migrator) save(ctx context.Context, change func(*migration.State)) error {
	_, err := m.claim(ctx, change)
	return err
}

// quote adds up what the migration would take.
func (m *migrator) quote(ctx context.Context, state *migration.State) error {
	_, place, err := m.places(state)
	if err != nil {
		return err
	}
	chunks, tokens := 0, 0
	for e, err := range m.s.rows.All(ctx, vector.Scope{}) {
		if err != nil {
			return err
		}
		chunks, tokens = chunks+len(e.Row.Chunks), tokens+e.Row.Tokens
	}
	return m.save(ctx, func(s *migration.State) {
		s.Phase, s.Chunks, s.Tokens = migration.Quoted, chunks, tokens
		s.CostNanoUSD = m.s.guard.Price(place.Model, llm.Usage{PromptTokens: tokens})
		s.ExpectedMS = event.Milliseconds(m.expected(place.Model, chunks, tokens))
	})
}

// expected is the time under the limits of the model, if nobody else used them.
func (m *migrator) expected(model string, chunks, tokens int) time.Duration {
	known, ok := m.s.catalog.Current().Model(model)
	if !ok {
		return 0
	}
	minutes := 0.0
	if tpm := known.Limits.TPM; tpm > 0 {
		minutes = float64(tokens) / float64(tpm)
	}
	if rpm := known.Limits.RPM; rpm > 0 {
		minutes = max(minutes, float64(chunks)/float64(m.s.cfg.BatchItems)/float64(rpm))
	}
	return time.Duration(minutes * float64(time.Minute))
}

// fill copies every point of the index in force into the other one, with vectors
// of its model; then it looks through the manifest for what is still missing,
// until nothing is.
func (m *migrator) fill(ctx context.Context, state *migration.State) error {
	from, to, err := m.places(state)
	if err != nil {
		return err
	}
	if err := m.s.vectors.Ensure(ctx, to); err != nil {
		return err
	}
	scan := vector.Scan{Limit: manifest.BatchChunks, After: state.Cursor}
	for {
		page, err := m.s.vectors.Scan(ctx, from, scan)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		scan.After = page[len(page)-1].ID
		if err := m.copy(ctx, state, to, page, scan.After); err != nil {
			return err
		}
	}
	for {
		missing, err := m.complete(ctx, state, from, to)
		if err != nil {
			return err
		}
		if missing == 0 {
			break
		}
	}
	// A document that changed while its page was copied may have left a copy behind.
	clean := &check{s: m.s, job: &event.VerifyJob{Fix: true}}
	if err := clean.points(ctx, to, map[manifest.ID]bool{}); err != nil {
		return err
	}
	return m.save(ctx, func(s *migration.State) { s.Phase = migration.Comparing })
}

// places are the index in force and the other one.
func (m *migrator) places(state *migration.State) (from, to vector.Index, err error) {
	names := state.Models(m.s.cfg.Model)
	if from, err = m.s.place(names[0]); err != nil {
		return from, to, err
	}
	if to, err = m.s.place(state.Also); err == nil && from == to {
		err = event.Invalid("to", "name another embedding model of the catalog", "%q is in force", from.Model)
	}
	return from, to, err
}

// copy stores those of a page's points that the other index doesn't have.
func (m *migrator) copy(ctx context.Context, state *migration.State, to vector.Index, page []vector.Stored, cursor string) error {
	byScope := map[vector.Scope][]vector.Stored{}
	for _, p := range page {
		scope := vector.Scope{Tenant: p.Tenant, Collection: p.Collection}
		byScope[scope] = append(byScope[scope], p)
	}
	copied, cost := 0, int64(0)
	var failed error
	for scope, points := range byScope {
		n, paid, err := m.copyScope(ctx, state, to, scope, points)
		copied, cost = copied+n, cost+paid
		if failed = err; err != nil {
			break
		}
	}
	return errors.Join(failed, m.save(ctx, func(s *migration.State) { // what was paid for counts in any case
		s.Done, s.SpentNanoUSD = s.Done+copied, s.SpentNanoUSD+cost
		if failed == nil {
			s.Cursor = cursor
		}
	}))
}

func (m *migrator) copyScope(ctx context.Context, state *migration.State, to vector.Index, scope vector.Scope, points []vector.Stored) (copied int, cost int64, err error) {
	ids := make([]string, len(points))
	for i, p := range points {
		ids[i] = p.ID
	}
	versions, err := m.versions(ctx, to, scope, ids)
	if err != nil {
		return 0, 0, err
	}
	var wanted []vector.Point
	for _, p := range points {
		if v, ok := versions[p.ID]; !ok || v < p.Chunk.Version {
			wanted = append(wanted, vector.Point{ID: p.ID, Chunk: p.Chunk})
		}
	}
	if len(wanted) == 0 {
		return 0, 0, nil
	}
	cost, err = m.embed(ctx, state, to, scope.Tenant, wanted)
	// Some may have a vector all the same, which was paid for.
	wanted = slices.DeleteFunc(wanted, func(p vector.Point) bool { return p.Dense == nil })
	if len(wanted) == 0 {
		return 0, cost, err
	}
	if putErr := m.s.vectors.Upsert(ctx, to, scope, wanted); putErr != nil {
		return 0, cost, errors.Join(err, putErr)
	}
	return len(wanted), cost, err
}

// complete copies the current chunks that the other index lacks: those whose
// batches were under way when the migration began.
func (m *migrator) complete(ctx context.Context, state *migration.State, from, to vector.Index) (missing int, err error) {
	for e, err := range m.s.rows.All(ctx, vector.Scope{}) {
		if err != nil {
			return missing, err
		}
		for ids := range slices.Chunk(e.Row.Chunks.IDs().Strings(), manifest.BatchChunks) {
			there, err := m.versions(ctx, to, e.Document.Scope, ids)
			if err != nil {
				return missing, err
			}
			lacking := slices.DeleteFunc(ids, func(id string) bool { _, ok := there[id]; return ok })
			points, err := m.s.vectors.Get(ctx, from, e.Document.Scope, lacking)
			if err != nil {
				return missing, err
			}
			if len(points) == 0 { // removed meanwhile
				continue
			}
			missing += len(points)
			if err := m.copy(ctx, state, to, points, ""); err != nil {
				return missing, err
			}
		}
	}
	return missing, nil
}

// versions are those of the points that an index has, by their ids.
func (m *migrator) versions(ctx context.Context, place vector.Index, scope vector.Scope, ids []string) (map[string]int64, error) {
	there, err := m.s.vectors.Get(ctx, place, scope, ids)
	versions := make(map[string]int64, len(there))
	for _, p := range there {
		versions[p.ID] = p.Chunk.Version
	}
	return versions, err
}
