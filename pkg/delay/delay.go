// Package delay has messages come later. They wait in a stream whose server publishes
// them at their time, so nobody need be there to keep it:
//
//	weir.delay.<kind>.<tenant>.<key>   one message that waits, with its time
//	weir.due.<kind>.<tenant>           where it comes then
//
// Another message under the same key replaces the one that waits. A time that is past
// is now; the server looks four times a second.
package delay

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Headers by which the server keeps the time of a message.
const (
	headerSchedule = "Nats-Schedule"
	headerTarget   = "Nats-Schedule-Target"
)

// Headers of a message that is moved on when its time has come.
const (
	// HeaderSubject is where it is published then.
	HeaderSubject = "Weir-Subject"
	// HeaderID is its dedupe id there. It must not be one that the subject has seen
	// lately: the message would be taken for a repetition.
	HeaderID = "Weir-Id"
	// HeaderDue marks it as moved: it must not be made to wait again by a worker whose
	// clock is late.
	HeaderDue = "Weir-Due"
)

// KindJobs is the kind of messages that a Mover publishes where they belong. Of other
// kinds, those who schedule them take them from event.DueSubject.
const KindJobs = "jobs"

// Key names a message that waits.
type Key struct{ Kind, Tenant, Key string }

// Out has a message come on the due subject of its kind and tenant, at a time. The
// message's own subject and dedupe id are of no use there, and left out.
func Out(at time.Time, key Key, msg bus.Out) bus.Out {
	header := cleaned(msg.Header)
	header.Set(headerSchedule, "@at "+at.UTC().Format(time.RFC3339Nano))
	header.Set(headerTarget, event.DueSubject(key.Kind, key.Tenant))
	return bus.Out{Subject: event.DelaySubject(key.Kind, key.Tenant, key.Key), Data: msg.Data, Header: header}
}

// Moved has a message be published as it is, at a time, by a Mover. The key is that of
// a job.
func Moved(at time.Time, tenant, key string, msg bus.Out) bus.Out {
	out := Out(at, Key{Kind: KindJobs, Tenant: tenant, Key: key}, msg)
	out.Header.Set(HeaderSubject, msg.Subject)
	out.Header.Set(HeaderID, msg.ID)
	return out
}

// cleaned is a header without what the server put there.
func cleaned(header nats.Header) nats.Header {
	out := nats.Header{}
	for name, values := range header {
		if !strings.HasPrefix(name, "Nats-") {
			out[name] = values
		}
	}
	return out
}
