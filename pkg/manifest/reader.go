package manifest

import (
	"context"
	"slices"
	"sync"

	"github.com/weir-dev/weir/pkg/vector"
)

// Found is a hit that is a chunk of its document's current version, with its
// place there.
type Found struct {
	vector.Hit
	Ref      Ref   // where it is in the document's text
	Version  int64 // of the document
	Position int   // of the chunk in the document, from 0
}

// checkers bounds the rows read at once for one query.
const checkers = 16

// Check keeps, in order, the hits that are chunks of the current versions of
// documents the readers may read. Each document's row is read once, so all of
// its chunks in the answer are of one version. stale is how many hits a newer
// version has replaced, perhaps after the search, which then missed the new ones;
// chunks of versions that are not yet current are not counted.
func (r *Rows) Check(ctx context.Context, scope vector.Scope, readers []string, hits []vector.Hit) (found []Found, stale int, err error) {
	rows, err := r.read(ctx, scope, hits)
	if err != nil {
		return nil, 0, err
	}
	for _, hit := range hits {
		row := rows[hit.Chunk.Document]
		at := row.position(hit.ID)
		if at < 0 {
			if hit.Chunk.Version <= row.Version {
				stale++
			}
			continue
		}
		if !row.readable(readers) {
			continue
		}
		hit.Chunk.Meta = row.Meta
		found = append(found, Found{Hit: hit, Ref: row.Chunks[at], Version: row.Version, Position: at})
	}
	return found, stale, nil
}

// position finds a point among the current chunks; -1 when it is none of them.
func (r *Row) position(point string) int {
	id, err := ParseID(point)
	if err != nil || r.Deleted {
		return -1
	}
	return slices.IndexFunc(r.Chunks, func(c Ref) bool { return c.ID == id })
}

// read reads the rows of the hits' documents.
func (r *Rows) read(ctx context.Context, scope vector.Scope, hits []vector.Hit) (map[string]*Row, error) {
	rows := map[string]*Row{}
	for _, hit := range hits {
		rows[hit.Chunk.Document] = &Row{}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var readers sync.WaitGroup
	slots := make(chan struct{}, checkers)
	for id, into := range rows {
		slots <- struct{}{}
		readers.Go(func() {
			defer func() { <-slots }()
			row, err := r.Get(ctx, vector.Document{Scope: scope, ID: id})
			if err != nil {
				cancel(err)
				return
			}
			*into = row
		})
	}
	readers.Wait()
	return rows, context.Cause(ctx)
}
