package tenants

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// secretText is in everything that the victim has; attack is in everything that
// mallory sends.
const (
	secretText = "the-secret-of-the-victim"
	attack     = "by-mallory"
)

// stage is the scene of an attack: what the victim has, and who looks at what.
type stage struct {
	*rig
	service    *bus.Bus
	job        string // of the victim, finished
	object     string // a payload of the victim
	own        string // a finished job of mallory's
	malloryHas *heard // all that came to mallory
	victimHas  *heard // all that came to the victim since the attack began
	serviceHas *heard // all that was sent where the streams are
}

// heard collects messages.
type heard struct {
	mu   sync.Mutex
	msgs []*nats.Msg
}

func (h *heard) take(msg *nats.Msg) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.msgs = append(h.msgs, msg)
}

func (h *heard) all() []*nats.Msg {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.msgs)
}

func set(t *testing.T) (s *stage, mallory *nats.Conn) {
	t.Helper()
	s = &stage{rig: start(t), malloryHas: &heard{}, victimHas: &heard{}, serviceHas: &heard{}}
	var err error
	if s.service, err = bus.New(s.system.Conn); err != nil {
		t.Fatal(err)
	}
	mallory = s.connect(s.mallory)
	victim := s.connect(s.victim)
	say := func(text string) event.GenerateJob {
		return event.GenerateJob{Messages: []event.Message{{Role: "user", Content: text}}, Stream: true}
	}
	s.job = s.generate(s.client(victim), s.victim.id, say(secretText+" "+secretText)).ID
	s.own = s.generate(s.client(mallory), s.mallory.id, say("Hello "+attack)).ID
	s.object = s.victim.id + ".secret"
	store, err := s.service.JetStream().ObjectStore(t.Context(), bus.PayloadBucket)
	if err != nil {
		t.Fatal(err)
	}
	job := fmt.Sprintf(`{"v":1,"messages":[{"role":"user","content":%q}]}`, secretText)
	if _, err := store.PutString(t.Context(), s.object, job); err != nil {
		t.Fatal(err)
	}
	until(t, "the victim's spend is booked", func() bool { return strings.Contains(s.stored(), "$KV.weir_spend.") })
	s.listen(victim, s.victimHas, "weir.results."+s.victim.id+".>", "weir.events."+s.victim.id+".>", "weir.tokens."+s.victim.id+".>", "weir.live."+s.victim.id+".>", "_INBOX.>")
	s.listen(s.system.Conn, s.serviceHas, ">")
	return s, mallory
}

func (s *stage) listen(nc *nats.Conn, to *heard, subjects ...string) {
	s.t.Helper()
	for _, subject := range subjects {
		if _, err := nc.Subscribe(subject, to.take); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// subjects that mallory might want, of the victim and of all.
func (s *stage) subjects() []string {
	var out []string
	for _, who := range []string{s.victim.id, "*", ">", s.mallory.id, s.mallory.id + ".>"} {
		for _, job := range []string{s.job, s.own, "new-job", "*", ">"} {
			for _, view := range []string{"weir.results", "weir.store", "weir.events", "weir.tokens", "weir.live", "weir.outcomes", "weir.dead"} {
				out = append(out, view+"."+who+"."+job)
				for stream, of := range map[string]string{bus.StreamResults: "weir.results", bus.StreamEvents: "weir.events", bus.StreamTokens: "weir.tokens"} {
					out = append(out, "$JS.API.DIRECT.GET."+stream+"."+of+"."+who+"."+job)
				}
			}
			out = append(out, "weir.ledger."+who+"."+job+".step.1-1", "$KV.weir_jobs."+who+"."+job, "$KV.weir_cancels."+who+"."+job)
		}
		for _, kind := range []string{"generate", "ingest", "*"} {
			for _, lane := range []string{"interactive", "batch", "*"} {
				out = append(out, "weir.jobs."+kind+"."+lane+"."+who)
			}
		}
		out = append(out, "weir.rpc.query."+who, "weir.steps.generate.small.batch."+who, "weir.steps.route.batch."+who, "weir.delay.jobs."+who+".k", "weir.due.jobs."+who,
			"weir.hints.steps."+who, "_INBOX_"+who+".>", "$KV.weir_spend."+who, "$KV.weir_documents."+who)
	}
	for _, stream := range []string{bus.StreamJobs, bus.StreamSteps, bus.StreamResults, bus.StreamTokens, "KV_weir_jobs", "OBJ_weir_payloads"} {
		for _, api := range []string{"STREAM.INFO.", "STREAM.PURGE.", "STREAM.MSG.GET.", "STREAM.DELETE.", "STREAM.UPDATE.", "DIRECT.GET.", "CONSUMER.CREATE.", "CONSUMER.DURABLE.CREATE.", "CONSUMER.NAMES."} {
			out = append(out, "$JS.API."+api+stream)
		}
		out = append(out, "$JS.API.CONSUMER.CREATE."+stream+".c.weir.>", "$JS.API.CONSUMER.MSG.NEXT."+stream+".c", "$JS.ACK."+stream+".c.1.1.1.1.1")
	}
	return append(out, ">", "*.>", "weir.>", "weir.*.>", "$JS.>", "$KV.>", "$O.>", "$SYS.>", "$SYS.REQ.SERVER.PING", "$SYS.REQ.USER.INFO", "_INBOX.>", "_R_.>", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"weir.rpc.embed.embed", "weir.rpc.rerank.linear", "$O.weir_payloads.>", "weir.cancels."+s.victim.id)
}

// bodies are of use for one attack or the other.
func (s *stage) bodies(i int) [][]byte {
	return [][]byte{
		nil,
		[]byte(attack),
		fmt.Appendf(nil, `{"v":1,"id":"atk-%d","tenant":%q,"messages":[{"role":"user","content":%q}]}`, i, s.victim.id, attack),
		fmt.Appendf(nil, `{"v":1,"id":"atk-%d","messages":[{"role":"user","content":%q}]}`, i, attack),
		fmt.Appendf(nil, `{"v":1,"text":%q,"collection":"docs"}`, attack),
		fmt.Appendf(nil, `{"last_by_subj":"weir.results.%s.%s"}`, s.victim.id, s.job),
		fmt.Appendf(nil, `{"multi_last":["weir.results.>"],"batch":100}`),
		fmt.Appendf(nil, `{"stream_name":"WEIR_RESULTS","config":{"deliver_subject":"_INBOX.%s","filter_subject":"weir.results.%s.>","ack_policy":"none"}}`, attack, s.victim.id),
	}
}

// TestNoWayAcross: whatever a tenant's user sends, asks or subscribes to, and wherever
// it has the answers sent, nothing of the other tenant comes to it, and nothing of it
// comes to the other, or into what is stored of the other.
func TestNoWayAcross(t *testing.T) {
	t.Parallel()
	s, mallory := set(t)
	before := s.stored()
	if !strings.Contains(before, secretText) {
		t.Fatalf("the victim has no secret: %s", before)
	}
	subjects := s.subjects()
	seed := uint64(time.Now().UnixNano())      //nolint:gosec // a seed
	random := rand.New(rand.NewPCG(seed, 123)) //nolint:gosec // a test
	t.Logf("seed %d", seed)
	pick := func() string { return subjects[random.IntN(len(subjects))] }
	for _, subject := range subjects { // each at least once
		s.subscribe(mallory, subject)
		s.send(mallory, 0, subject, "", 2)
	}
	if err := mallory.FlushTimeout(patience); err != nil {
		t.Fatalf("%v: %v", err, mallory.LastError())
	}
	for i := range 4000 {
		reply := ""
		if random.IntN(2) == 0 {
			if reply = pick(); strings.ContainsAny(reply, "*>") {
				reply = event.StoreSubject(s.victim.id, "new-job")
			}
		}
		subject := pick()
		if random.IntN(3) == 0 { // what is allowed, with the answer sent to somewhere else
			subject = []string{"weir.jobs.generate.batch." + s.mallory.id, "weir.rpc.query." + s.mallory.id,
				"$JS.API.DIRECT.GET.WEIR_RESULTS." + event.ResultSubject(s.mallory.id, s.own)}[random.IntN(3)]
		}
		s.send(mallory, i, subject, reply, random.IntN(len(s.bodies(0))))
	}
	if err := mallory.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	// A job that is submitted last is done when all before it are, but for retries.
	s.generate(s.client(mallory), s.mallory.id, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: attack}}})
	s.judge()
	if after := s.stored(); after != before {
		t.Errorf("what is stored of the victim changed\n%s\n%s", before, after)
	}
}

func (s *stage) subscribe(nc *nats.Conn, subject string) {
	if strings.Contains(subject, ">.") {
		return // no subject to subscribe to: the client gives the connection up
	}
	if _, err := nc.Subscribe(subject, s.malloryHas.take); err != nil && nc.IsClosed() {
		s.t.Fatalf("the connection is closed after %s: %v", subject, nc.LastError())
	}
}

func (s *stage) send(nc *nats.Conn, i int, subject, reply string, body int) {
	msg := &nats.Msg{Subject: subject, Reply: reply, Data: s.bodies(i)[body], Header: nats.Header{"Attack": {attack}}}
	switch i % 7 {
	case 3:
		msg.Header.Set(bus.HeaderPayload, s.object)
		msg.Header.Set(bus.HeaderJob, fmt.Sprintf("atk-%d", i))
		msg.Data = nil
	case 5:
		msg.Header.Set("Weir-Release", s.object)
		msg.Header.Set(nats.MsgIdHdr, s.victim.id+"."+s.job)
	}
	if err := nc.PublishMsg(msg); err != nil && nc.IsClosed() {
		s.t.Fatalf("the connection is closed after %s: %v", subject, nc.LastError())
	}
}

// judge looks at all that was heard.
func (s *stage) judge() {
	for _, msg := range s.malloryHas.all() {
		if bytes.Contains(msg.Data, []byte(secretText)) || strings.Contains(msg.Subject, s.victim.id) {
			s.t.Errorf("mallory got %s: %.200s", msg.Subject, msg.Data)
		}
	}
	for _, msg := range s.victimHas.all() {
		s.t.Errorf("the victim got %s: %.200s", msg.Subject, msg.Data)
	}
	for _, msg := range s.serviceHas.all() {
		ofVictim := slices.Contains(strings.Split(msg.Subject, "."), s.victim.id)
		if ofVictim && (!strings.HasPrefix(msg.Subject, "$JS.") || msg.Header.Get("Attack") != "") {
			s.t.Errorf("sent to %s: %v %.200s", msg.Subject, msg.Header, msg.Data)
		}
		if strings.HasPrefix(msg.Subject, "$JS.API.DIRECT.GET.") || !strings.HasPrefix(msg.Subject, "$") && !strings.HasPrefix(msg.Subject, "weir.") {
			continue // an answer on its way, or a question for one's own result
		}
		if msg.Header.Get("Attack") != "" && !slices.Contains(strings.Split(msg.Subject, "."), s.mallory.id) {
			s.t.Errorf("mallory reached %s", msg.Subject)
		}
	}
	if len(s.malloryHas.all()) == 0 || len(s.serviceHas.all()) == 0 {
		s.t.Error("nothing was heard: the test hears nothing")
	}
}

// stored is all that the streams hold of the victim.
func (s *stage) stored() string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var out []string
	js := s.service.JetStream()
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			s.t.Fatal(err)
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			s.t.Fatal(err)
		}
		for subject, n := range info.State.Subjects {
			if !strings.Contains(subject, s.victim.id) {
				continue
			}
			last, err := stream.GetLastMsgForSubject(ctx, subject)
			if err != nil {
				s.t.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%s %s %d %d %s", name, subject, n, last.Sequence, last.Data))
		}
	}
	if err := names.Err(); err != nil {
		s.t.Fatal(err)
	}
	store, err := js.ObjectStore(ctx, bus.PayloadBucket)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := store.GetString(ctx, s.object)
	out = append(out, fmt.Sprint(s.object, data, err))
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// TestForgedResult: a user's request whose answer is to go to another's subject, where
// it would be stored as a result, goes nowhere. Permissions alone would let it.
func TestForgedResult(t *testing.T) {
	t.Parallel()
	s, mallory := set(t)
	forged := event.StoreSubject(s.victim.id, "forged")
	for _, subject := range []string{"$JS.API.DIRECT.GET.WEIR_RESULTS." + event.ResultSubject(s.mallory.id, s.own), "weir.rpc.query." + s.mallory.id, "weir.jobs.generate.batch." + s.mallory.id} {
		if err := mallory.PublishRequest(subject, forged, []byte(`{"v":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	s.generate(s.client(mallory), s.mallory.id, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: attack}}})
	if done, err := s.service.Finished(t.Context(), s.victim.id, "forged"); done || err != nil {
		t.Errorf("the victim has a forged result: %v", err)
	}
	// The way is there for those who may: the service itself.
	if err := s.system.Conn.PublishRequest("$JS.API.DIRECT.GET.WEIR_RESULTS."+event.ResultSubject(s.mallory.id, s.own), forged, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the service's own forgery", func() bool {
		done, err := s.service.Finished(t.Context(), s.victim.id, "forged")
		return done && err == nil
	})
}

// TestClaimedPayload: naming another's object in a job neither reads nor frees it.
func TestClaimedPayload(t *testing.T) {
	t.Parallel()
	s, mallory := set(t)
	msg := &nats.Msg{Subject: "weir.jobs.generate.interactive." + s.mallory.id, Header: nats.Header{bus.HeaderPayload: {s.object}, bus.HeaderJob: {"claim"}}}
	if _, err := mallory.RequestMsg(msg, patience); err != nil {
		t.Fatal(err)
	}
	if result := s.await(s.client(mallory), s.mallory.id, "claim"); result.Error == nil || result.Error.Class != event.ClassInvalid || result.Error.Field != bus.HeaderPayload {
		t.Errorf("got %+v, %v", result, result.Error)
	}
	if after := s.stored(); !strings.Contains(after, s.object+`{"v":1`) {
		t.Errorf("the payload is gone: %s", after)
	}
	for _, msg := range s.malloryHas.all() {
		if bytes.Contains(msg.Data, []byte(secretText)) {
			t.Errorf("mallory got %s: %s", msg.Subject, msg.Data)
		}
	}
}
