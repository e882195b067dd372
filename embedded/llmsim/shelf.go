package llmsim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// maxPage and defaultPage are the items of one page of a list.
const (
	maxPage     = 100
	defaultPage = 20
)

// shelf keeps items by id in the order they came.
type shelf[T any] struct {
	mu     sync.Mutex
	prefix string
	seed   uint64
	most   int
	count  uint64
	items  map[string]T
	order  []string
}

func newShelf[T any](prefix string, seed uint64, most int) *shelf[T] {
	return &shelf[T]{prefix: prefix, seed: seed, most: most, items: map[string]T{}}
}

// id returns a new id: the same sequence on every server of one seed.
func (s *shelf[T]) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	h := hashBytes(s.seed, []byte(s.prefix))
	raw := binary.BigEndian.AppendUint64(nil, mix(h^s.count))
	return s.prefix + hex.EncodeToString(binary.BigEndian.AppendUint32(raw, uint32(s.count)))
}

// put keeps an item; a full shelf refuses it, or with evict drops the oldest.
func (s *shelf[T]) put(id string, item T, evict bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.order) >= s.most {
		if !evict {
			return &apiError{status: http.StatusTooManyRequests, Type: "requests", Code: "too_many_stored",
				Message: fmt.Sprintf("%d items are stored, which is the most; delete some.", s.most)}
		}
		delete(s.items, s.order[0])
		s.order = slices.Delete(s.order, 0, 1)
	}
	s.items[id] = item
	s.order = append(s.order, id)
	return nil
}

// get returns the item, or a 404 for what.
func (s *shelf[T]) get(what, id string) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	item, ok := s.items[id]
	if !ok {
		return item, &apiError{status: http.StatusNotFound, Type: typeInvalid, Param: "id", Message: fmt.Sprintf("No such %s: %s", what, id)}
	}
	return item, nil
}

// remove forgets an item and reports whether it was there.
func (s *shelf[T]) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.items[id]; !ok {
		return false
	}
	delete(s.items, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
	return true
}

// page returns the items before after, newest first, at most limit.
func (s *shelf[T]) page(after string, limit int) (ids []string, items []T, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := len(s.order)
	if at := slices.Index(s.order, after); after != "" {
		end = max(at, 0)
	}
	start := max(0, end-limit)
	for i := end - 1; i >= start; i-- {
		ids = append(ids, s.order[i])
		items = append(items, s.items[s.order[i]])
	}
	return ids, items, start > 0
}

// stored is what outlives a request, and the work that does.
type stored struct {
	files     *files
	batches   *shelf[*batch]
	responses *shelf[*response]
	events    *shelf[struct{}] // counts their ids
	jobs      chan job
	client    *http.Client // of the webhook
}

func newStored(a Answers) *stored {
	a = a.withDefaults()
	return &stored{
		files:     &files{shelf: newShelf[*file]("file-", a.Seed, a.StoredItems), most: a.StoredBytes},
		batches:   newShelf[*batch]("batch_", a.Seed, a.StoredItems),
		responses: newShelf[*response]("resp_", a.Seed, a.StoredItems),
		events:    newShelf[struct{}]("evt_", a.Seed, 0),
		jobs:      make(chan job, a.QueuedJobs),
		client:    &http.Client{},
	}
}

// pageOf reads the query of a list.
func pageOf(r *http.Request) (after string, limit int, err error) {
	limit = defaultPage
	if text := r.URL.Query().Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxPage {
			return "", 0, invalid("limit", "integer_out_of_range", "Invalid 'limit': expected a value between 1 and %d, but got %q.", maxPage, text)
		}
	}
	return r.URL.Query().Get("after"), limit, nil
}

// writePage answers a list request; wire turns an item into its JSON.
func writePage[T any](w http.ResponseWriter, r *http.Request, s *shelf[T], wire func(T) any) {
	after, limit, err := pageOf(r)
	if err != nil {
		writeError(w, err)
		return
	}
	ids, items, more := s.page(after, limit)
	data := make([]any, len(items))
	for i, item := range items {
		data[i] = wire(item)
	}
	out := map[string]any{"object": "list", "data": data, "has_more": more, "first_id": nil, "last_id": nil}
	if len(ids) > 0 {
		out["first_id"], out["last_id"] = ids[0], ids[len(ids)-1]
	}
	writeJSON(w, http.StatusOK, out)
}
