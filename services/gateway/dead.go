package gateway

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/dead"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// maxEdit bounds the body of a redrive, in bytes: an edit may hold whole messages.
const maxEdit = 4 << 20

// deadAPI shows a tenant its dead letters and redrives them.
type deadAPI struct{ box *dead.Box }

// deadRoutes adds the dead letters.
func (s *Service) deadRoutes(mux *web.Mux) { deadAPI{box: dead.New(s.bus, s.p.Now)}.routes(mux) }

func (a deadAPI) routes(mux *web.Mux) {
	mux.Route("GET /v1/dead", catalog.ScopeAdmin, web.Problem, a.list)
	mux.Route("GET /v1/dead/{seq}", catalog.ScopeAdmin, web.Problem, a.show)
	mux.Route("POST /v1/dead/{seq}/redrive", catalog.ScopeAdmin, web.Problem, a.redrive)
	mux.Route("POST /v1/dead/redrive", catalog.ScopeAdmin, web.Problem, a.redriveMany)
}

// deadGroups is the answer of list: the causes, or with ?list=true the letters.
type deadGroups struct {
	Groups []dead.Group `json:"groups"`
	// Truncated says that there are more letters than were counted.
	Truncated bool `json:"truncated,omitempty"`
}

// deadLetters is a page of letters.
type deadLetters struct {
	Letters []dead.Letter `json:"letters"`
	Next    string        `json:"next_cursor,omitempty"`
}

func (a deadAPI) list(w http.ResponseWriter, r *web.Request) error {
	q := r.URL.Query()
	f := dead.Filter{Tenant: r.Tenant, Stage: q.Get("stage"), Class: event.Class(q.Get("class")), Group: q.Get("group")}
	letters, err := strconv.ParseBool(cmp.Or(q.Get("list"), "false"))
	if err != nil {
		return event.Invalid("list", "use true or false", "got %q", q.Get("list"))
	}
	if !letters {
		groups, whole, err := a.box.Groups(r.Context(), f)
		if err != nil {
			return err
		}
		return web.JSON(w, http.StatusOK, deadGroups{groups, !whole})
	}
	n, err := limit(r.Request, dead.MaxList)
	if err != nil {
		return err
	}
	found, next, err := a.box.List(r.Context(), f, q.Get("cursor"), n)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, deadLetters{append([]dead.Letter{}, found...), next})
}

func (a deadAPI) show(w http.ResponseWriter, r *web.Request) error {
	seq, err := letterSeq(r)
	if err != nil {
		return err
	}
	d, err := a.box.Get(r.Context(), r.Tenant, seq)
	if err != nil {
		return deadError(r, err)
	}
	return web.JSON(w, http.StatusOK, d)
}

// redriveRequest is the body of both redrives.
type redriveRequest struct {
	Edit  json.RawMessage `json:"edit"`
	Force bool            `json:"force"`
	// The rest chooses among many.
	Group  string      `json:"group"`
	Stage  string      `json:"stage"`
	Class  event.Class `json:"class"`
	All    bool        `json:"all"`
	Sample int         `json:"sample"`
	DryRun bool        `json:"dry_run"`
}

func (a deadAPI) redrive(w http.ResponseWriter, r *web.Request) error {
	seq, err := letterSeq(r)
	if err != nil {
		return err
	}
	body, err := readRedrive(r)
	if err != nil {
		return err
	}
	if body.Group != "" || body.Stage != "" || body.Class != "" || body.All || body.Sample != 0 || body.DryRun {
		return event.Invalid("body", "send edit and force only, or post to /v1/dead/redrive", "it chooses among many letters")
	}
	record, err := a.box.Redrive(r.Context(), r.Tenant, seq, body.options(r))
	if err != nil {
		return deadError(r, err)
	}
	return web.JSON(w, http.StatusAccepted, record)
}

func (a deadAPI) redriveMany(w http.ResponseWriter, r *web.Request) error {
	body, err := readRedrive(r)
	if err != nil {
		return err
	}
	if !body.All && body.Group == "" && body.Stage == "" && body.Class == "" {
		return event.Invalid("group", `name one of GET /v1/dead, or send {"all":true}`, "missing")
	}
	report, err := a.box.Many(r.Context(), dead.Selection{Options: body.options(r), Sample: body.Sample, DryRun: body.DryRun,
		Filter: dead.Filter{Tenant: r.Tenant, Group: body.Group, Stage: body.Stage, Class: body.Class}})
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, report)
}

func (b *redriveRequest) options(r *web.Request) dead.Options {
	o := dead.Options{By: cmp.Or(r.Key, "tenant "+r.Tenant), Force: b.Force}
	if text := string(bytes.TrimSpace(b.Edit)); text != "" && text != "null" {
		o.Edit = b.Edit
	}
	return o
}

// readRedrive reads the body of a redrive, which may be empty. A field that is not
// known is refused: what it was meant to hold back would be done.
func readRedrive(r *web.Request) (body redriveRequest, err error) {
	if r.ContentLength == 0 {
		return body, nil
	}
	data, err := r.JSON(maxEdit)
	if err != nil {
		return body, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		return body, event.Invalid("body", "see docs/dead.md for the fields", "%v", err)
	}
	return body, nil
}

// letterSeq is the letter that the path names.
func letterSeq(r *web.Request) (uint64, error) {
	seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
	if err != nil || seq == 0 {
		return 0, web.NotFound("dead letter", r.PathValue("seq"))
	}
	return seq, nil
}

// deadError gives the errors of dead letters their status.
func deadError(r *web.Request, err error) error {
	switch {
	case errors.Is(err, dead.ErrNone):
		return web.NotFound("dead letter", r.PathValue("seq"))
	case errors.Is(err, dead.ErrRunning):
		return web.Conflict(`wait for its end, or send {"force":true}`, dead.ErrRunning.Error())
	case errors.Is(err, dead.ErrEnded):
		return web.Conflict("submit it as a new job if it is to run once more", dead.ErrEnded.Error())
	}
	return err
}
