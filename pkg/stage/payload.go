package stage

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// HeaderRelease names the payloads of a job's earlier messages, with commas. A
// payload lives until its job has a result: until then any message of the job
// may be delivered again.
const HeaderRelease = "Weir-Release"

// releaseTimeout bounds the freeing of a job's payloads; what is left expires.
const releaseTimeout = 10 * time.Second

// claimed reports whether the payload travelled by claim-check.
func (d *delivery) claimed() bool { return d.msg.Header.Get(bus.HeaderPayload) != "" }

// payloads lists the objects of this message and of the job's earlier ones.
func (d *delivery) payloads() []string {
	var names []string
	if d.msg.Stream == bus.StreamSteps { // a user's header frees nothing
		names = strings.FieldsFunc(d.msg.Header.Get(HeaderRelease), func(r rune) bool { return r == ',' })
	}
	if own := d.msg.Payload(); own != "" {
		names = append(names, own)
	}
	return names
}

// passOn hands the payloads over to the job's next messages.
func passOn(outs []bus.Out, payloads []string) {
	if len(payloads) == 0 {
		return
	}
	for i := range outs {
		if outs[i].View || isResult(outs[i]) {
			continue
		}
		if outs[i].Header == nil {
			outs[i].Header = nats.Header{}
		}
		outs[i].Header.Set(HeaderRelease, strings.Join(payloads, ","))
	}
}

// isResult reports whether a message stores a job's result.
func isResult(out bus.Out) bool { return event.IsStoreSubject(out.Subject) }

// release frees the payloads of a job that this delivery ended. One that finds
// the job finished frees nothing: a dead letter may need them.
func (r *Runner) release(d *delivery) {
	payloads := d.payloads()
	if len(payloads) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := r.bus.Release(ctx, payloads...); err != nil {
		r.p.Logger.Debug("freeing payloads", "stage", r.cfg.Name, "job", d.head.ID, "error", err)
	}
}
