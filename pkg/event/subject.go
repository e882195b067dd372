package event

import (
	"fmt"
	"slices"
	"strings"
)

// Address is where a job was published: weir.jobs.<kind>.<lane>.<tenant>.
type Address struct {
	Kind   Kind
	Lane   Lane
	Tenant string
}

// Subject returns the intake subject of the address.
func (a Address) Subject() string {
	return "weir.jobs." + string(a.Kind) + "." + string(a.Lane) + "." + a.Tenant
}

// ParseAddress reads a job's intake subject.
func ParseAddress(subject string) (Address, error) {
	parts := strings.Split(subject, ".")
	if len(parts) != 5 || parts[0] != "weir" || parts[1] != "jobs" {
		return Address{}, Invalid("subject", "publish to weir.jobs.<kind>.<lane>.<tenant>", "%q is no job subject", subject)
	}
	a := Address{Kind: Kind(parts[2]), Lane: Lane(parts[3]), Tenant: parts[4]}
	return a, a.Validate()
}

// Validate checks each part, naming the one that is wrong.
func (a Address) Validate() error {
	if !slices.Contains(Kinds(), a.Kind) {
		return Invalid("kind", "use ingest, delete, verify, reindex, generate, embed or batch", "unknown kind %q", a.Kind)
	}
	if a.Lane != LaneInteractive && a.Lane != LaneBatch {
		return Invalid("lane", "use interactive or batch", "unknown lane %q", a.Lane)
	}
	return CheckName("tenant", a.Tenant)
}

// EmbedSubject carries chunk batches to the embedder of a model.
func EmbedSubject(model string, lane Lane, tenant string) string {
	return fmt.Sprintf("weir.steps.embed.%s.%s.%s", model, lane, tenant)
}

// GenerateSubject carries tasks to the generator of a model.
func GenerateSubject(model string, lane Lane, tenant string) string {
	return fmt.Sprintf("weir.steps.generate.%s.%s.%s", model, lane, tenant)
}

// RouteSubject carries tasks back to the router.
func RouteSubject(lane Lane, tenant string) string {
	return fmt.Sprintf("weir.steps.route.%s.%s", lane, tenant)
}

// ResultSubject holds the one result of a job.
func ResultSubject(tenant, job string) string { return "weir.results." + tenant + "." + job }

// StoreSubject is where a result is published. The results stream takes it if
// it is the job's first and delivers it on the ResultSubject when it is stored,
// so that a subscriber never sees another.
func StoreSubject(tenant, job string) string { return storePrefix + tenant + "." + job }

// IsStoreSubject reports whether a message published there is a job's result.
func IsStoreSubject(subject string) bool { return strings.HasPrefix(subject, storePrefix) }

const storePrefix = "weir.store."

// LedgerSubject is that of a step's lines in the ledger: one per call, named
// after the delivery that made it (the epoch) and its number within that.
func LedgerSubject(tenant, job, step string, epoch int64, call int) string {
	return fmt.Sprintf("%s%s.%s.%s.%d-%d", ledgerPrefix, tenant, job, step, epoch, call)
}

// IsLedgerSubject reports whether a message published there is a line of the ledger.
func IsLedgerSubject(subject string) bool { return strings.HasPrefix(subject, ledgerPrefix) }

const ledgerPrefix = "weir.ledger."

// LifeSubject carries the events in the life of a job.
func LifeSubject(tenant, job string) string { return "weir.events." + tenant + "." + job }

// TokenSubject carries the pieces of an answer as they arrive.
func TokenSubject(tenant, job string) string { return "weir.tokens." + tenant + "." + job }

// LiveSubject is where the pieces of an answer are delivered when they are stored,
// with their place in the stream of tokens in the header Nats-Sequence.
func LiveSubject(tenant, job string) string { return "weir.live." + tenant + "." + job }

// LivesSubject is where the events in the life of a job are delivered when they are
// stored, as the pieces of an answer are on the LiveSubject.
func LivesSubject(tenant, job string) string { return "weir.lives." + tenant + "." + job }

// DelaySubject holds a message until its time: one for each key (of a kind, such as
// jobs or hooks). Then it comes on the DueSubject of the kind and tenant.
func DelaySubject(kind, tenant, key string) string {
	return "weir.delay." + kind + "." + tenant + "." + key
}

// DueSubject is where messages come whose time has come.
func DueSubject(kind, tenant string) string { return "weir.due." + kind + "." + tenant }

// JobKey is the key of a job in a bucket, and that of other things of a tenant.
func JobKey(tenant, job string) string { return tenant + "." + job }

// OutcomeSubject carries what a job teaches the policy table.
func OutcomeSubject(tenant, job string) string { return "weir.outcomes." + tenant + "." + job }

// FlightSubject carries tasks that wait for the answer of an identical job.
func FlightSubject(lane Lane, tenant string) string {
	return fmt.Sprintf("weir.steps.flight.%s.%s", lane, tenant)
}

// DeadSubject keeps what a stage could not handle. The tenant may be unknown.
func DeadSubject(stage, tenant string) string {
	if CheckName("tenant", tenant) != nil {
		tenant = "unknown"
	}
	return "weir.dead." + stage + "." + tenant
}

// EmbedRPC is the request subject of the embedder for query vectors.
func EmbedRPC(model string) string { return "weir.rpc.embed." + model }

// RerankRPC is the request subject of the embedder for reranking.
func RerankRPC(model string) string { return "weir.rpc.rerank." + model }

// QueryRPC is the request subject of the router for what retrieval finds in a
// tenant's collections.
func QueryRPC(tenant string) string { return "weir.rpc.query." + tenant }

// KindOf returns the kind of job a job or step subject belongs to. The steps of
// a delete job count as ingest.
func KindOf(subject string) Kind {
	if strings.HasPrefix(subject, "weir.steps.embed.") {
		return KindIngest
	}
	for _, kind := range Kinds() {
		if strings.HasPrefix(subject, "weir.jobs."+string(kind)+".") {
			return kind
		}
	}
	return KindGenerate
}

// TenantOf returns the tenant of a job or step subject: its last token.
func TenantOf(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// CheckName checks a tenant, collection, document, job or model name: 1 to 64
// characters of A-Z a-z 0-9 _ and -, so that it can be a subject token.
func CheckName(field, name string) error {
	const hint = "use 1 to 64 characters of A-Z a-z 0-9 _ -"
	if name == "" {
		return Invalid(field, hint, "missing")
	}
	if len(name) > 64 {
		return Invalid(field, hint, "%d characters, more than 64", len(name))
	}
	for _, r := range name {
		ok := r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !ok {
			return Invalid(field, hint, "character %q in %q", r, name)
		}
	}
	return nil
}
