// Package event is the vocabulary the rooms share: jobs, the messages between
// stages, results and receipts, their subjects and ids, and the error classes.
// It imports only the standard library, so that anything may import it.
//
// Every message is JSON with "v":1. Unknown fields are ignored; an unknown
// version is refused. A job's address (kind, lane, tenant) is its subject; the
// same fields in the body are optional and must agree.
package event

import (
	"encoding/json"
	"time"
)

// Version is the major version of every message; see the package comment.
const Version = 1

// Kind is what a job asks for.
type Kind string

// The kinds of jobs.
const (
	KindIngest   Kind = "ingest"   // store a document
	KindDelete   Kind = "delete"   // remove a document
	KindVerify   Kind = "verify"   // compare the vector store with the manifest
	KindReindex  Kind = "reindex"  // cut documents anew from their stored text
	KindGenerate Kind = "generate" // answer
	KindEmbed    Kind = "embed"    // vectors of texts
	KindBatch    Kind = "batch"    // a file of jobs
)

// Kinds lists all kinds.
func Kinds() []Kind {
	return []Kind{KindIngest, KindDelete, KindVerify, KindReindex, KindGenerate, KindEmbed, KindBatch}
}

// Lane is a job's priority class: interactive jobs have workers of their own,
// so a deep batch backlog never delays them.
type Lane string

// The lanes.
const (
	LaneInteractive Lane = "interactive"
	LaneBatch       Lane = "batch"
)

// Lanes lists all lanes, the most urgent first.
func Lanes() []Lane { return []Lane{LaneInteractive, LaneBatch} }

// Envelope is what every message of a job carries.
type Envelope struct {
	V int `json:"v"`
	// ID is the job id: the client's idempotency key, [A-Za-z0-9_-]{1,64}.
	ID     string `json:"id"`
	Tenant string `json:"tenant,omitempty"`
	Lane   Lane   `json:"lane,omitempty"`
	// Deadline ends the job as failed when it passes; zero means none.
	Deadline time.Time `json:"deadline,omitzero"`
	// SubmittedAt is when the intake stream stored the job; set by Weir.
	SubmittedAt time.Time `json:"submitted_at,omitzero"`
	// NotBefore has the job wait until then; zero means now.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Webhook is told of the result: an https URL, or the name of an endpoint that
	// the tenant has.
	Webhook string `json:"webhook,omitempty"`
	// Metadata comes back with the result.
	Metadata map[string]string `json:"metadata,omitempty"`
}

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, developer, user, assistant or tool
	Content string `json:"content"`
	// Name tells speakers of one role apart.
	Name string `json:"name,omitempty"`
	// ToolCalls are what an assistant's turn called; ToolCallID says which of them a
	// tool's turn answers.
	ToolCalls  []ToolCall `json:"tool_calls,omitempty"`
	ToolCallID string     `json:"tool_call_id,omitempty"`
}

// GenerateJob asks for one answer.
type GenerateJob struct {
	Envelope
	// Model names the model to use; "" leaves the choice to the router.
	Model    string    `json:"model,omitempty"`
	Messages []Message `json:"messages"`
	// RAG, when set, grounds the answer in a collection's documents.
	RAG         *RAG     `json:"rag,omitempty"`
	MaxTokens   int      `json:"max_tokens,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"`
	// Task names the policy by which a model is chosen; "" is the default one. It
	// has no say when Model is set.
	Task string `json:"task,omitempty"`
	// Schema is a JSON Schema: the answer is one JSON value that is valid by it, or
	// the job fails and names the violations. Checks must hold besides.
	Schema json.RawMessage `json:"schema,omitempty"`
	Checks []Check         `json:"checks,omitempty"`
	// NoCache has a model asked even if the answer is known.
	NoCache bool `json:"no_cache,omitempty"`
	Tooling
	// Stream asks for the answer's pieces on the job's token subject as well.
	Stream bool `json:"stream,omitempty"`
	// MaxAttempts and MaxCostNanoUSD bound what the job may take: model calls,
	// over all retries and fallbacks, and money. 0 takes the defaults.
	MaxAttempts    int   `json:"max_attempts,omitempty"`
	MaxCostNanoUSD int64 `json:"max_cost_nano_usd,omitempty"`
}

// RAG says which documents ground an answer.
type RAG struct {
	Collection string `json:"collection"`
	// TopK is how many chunks the model is shown; 0 takes the router's default.
	TopK int `json:"top_k,omitempty"`
	// Readers are the names (user, groups) the reader answers to: a document with
	// an access list is found only if one of them is on it.
	Readers []string `json:"readers,omitempty"`
	// Filter must equal the documents' metadata, key by key.
	Filter map[string]string `json:"filter,omitempty"`
	// Abstain answers "I don't know." without asking a model when the passages
	// found cover less than this part of the question's words (0 to 1); nil takes
	// the router's default.
	Abstain *float64 `json:"abstain,omitempty"`
}

// IngestJob stores one document in a collection.
type IngestJob struct {
	Envelope
	Collection string   `json:"collection"`
	Document   Document `json:"document"`
}

// DeleteJob removes one document from a collection.
type DeleteJob struct {
	Envelope
	Collection string `json:"collection"`
	Document   string `json:"document"` // id
	// Version as in Document.
	Version int64 `json:"version,omitempty"`
}

// VerifyJob compares what is stored with the manifest.
type VerifyJob struct {
	Envelope
	// Collection narrows it to one; "" is all of the tenant's.
	Collection string `json:"collection,omitempty"`
	// Fix removes what belongs to no document and has documents with missing
	// chunks read again at the next ingest.
	Fix bool `json:"fix,omitempty"`
}

// ReindexJob has documents read again: those that came from a URL from there, the
// others from the text that is stored. It ends when their ingest jobs are
// submitted.
type ReindexJob struct {
	Envelope
	Collection string `json:"collection"`
	// Document names one; "" is all of the collection's.
	Document string `json:"document,omitempty"`
}

// Document is a source document: exactly one of Text, Data and URL is set.
type Document struct {
	// ID names it in its collection; "" makes one of URL or Source.
	ID string `json:"id"`
	// Source is where it came from (path or URL); shown in citations.
	Source string `json:"source,omitempty"`
	// Title overrides the title found in the document.
	Title string `json:"title,omitempty"`
	// MediaType such as text/markdown; "" detects from Source and content.
	MediaType string `json:"media_type,omitempty"`
	Text      string `json:"text,omitempty"`
	Data      []byte `json:"data,omitempty"` // base64 in JSON
	// URL is fetched by the ingestor (http or https).
	URL      string            `json:"url,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
	// ACL lists the names (users, groups) that may read it; empty is everybody in
	// the tenant.
	ACL []string `json:"acl,omitempty"`
	// Version orders the document's states when the source knows better than the
	// order of the jobs: a lower one never replaces a higher one. 0 takes the
	// microsecond at which the job was stored. Use it for all jobs of a document
	// or for none.
	Version int64 `json:"version,omitempty"`
}

// ChunkBatch carries chunks of a document from the ingestor to the embedder: those
// that are new in this version. A batch without chunks only has the embedder
// finish what the manifest says is left to do.
type ChunkBatch struct {
	Envelope
	Kind       Kind   `json:"kind"` // of the job: ingest or delete
	Collection string `json:"collection"`
	// Document is the source without its text.
	Document Document `json:"document"`
	// DocumentVersion orders the document's states.
	DocumentVersion int64   `json:"document_version"`
	Model           string  `json:"model"` // embedding model
	Batch           int     `json:"batch"` // from 0, as in the manifest
	Chunks          []Chunk `json:"chunks"`
	Receipt         Receipt `json:"receipt"`
}

// SettleOnly is the number of a batch without chunks that is none of the
// document's.
const SettleOnly = -1

// Chunk is a piece of a document, small enough to embed.
type Chunk struct {
	// ID is a UUID made of the chunk's place and content (see ChunkID).
	ID string `json:"id"`
	// Hash is that of Prefix and Text (see ChunkHash).
	Hash string `json:"hash"`
	// Prefix (title and heading path) is embedded with Text but not shown twice.
	Prefix  string   `json:"prefix,omitempty"`
	Text    string   `json:"text"`
	Section []string `json:"section,omitempty"` // heading path, outermost first
	Tokens  int      `json:"tokens"`
}

// GenerateTask asks a generator for one attempt with one model.
type GenerateTask struct {
	Envelope
	Model       string    `json:"model"`
	Messages    []Message `json:"messages"`
	Sources     []Source  `json:"sources,omitempty"` // what [n] in the answer may cite
	MaxTokens   int       `json:"max_tokens,omitempty"`
	Temperature *float64  `json:"temperature,omitempty"`
	Tooling
	Stream bool `json:"stream,omitempty"`
	// MaxAttempts and MaxCostNanoUSD are the job's; Receipt says what is used up.
	MaxAttempts    int   `json:"max_attempts,omitempty"`
	MaxCostNanoUSD int64 `json:"max_cost_nano_usd,omitempty"`
	// Named is the model that the job names; "" leaves the choice to the policy Task.
	// Question is what the user asked, before sources were added.
	Named    string `json:"named,omitempty"`
	Task     string `json:"task,omitempty"`
	Question string `json:"question,omitempty"`
	// Gates is what the answer must pass; nil accepts any.
	Gates *Gates `json:"gates,omitempty"`
	// Prior are the answers that were not accepted, in order.
	Prior []Judged `json:"prior,omitempty"`
	// Hold streams an answer when it is accepted and not before.
	Hold bool `json:"hold,omitempty"`
	// Alone says that the task runs beside another one of its job: an answer that
	// is not accepted is dropped.
	Alone bool `json:"alone,omitempty"`
	// Shadow is set when the answer is no result.
	Shadow *Shadow `json:"shadow,omitempty"`
	// Compare is the share of accepted answers that another model is to give, too.
	Compare *Compare `json:"compare,omitempty"`
	// Cache says where the answer is kept.
	Cache *CachePlan `json:"cache,omitempty"`
	// Hop counts the tasks of the job, from 0: each fallback is another hop.
	Hop int `json:"hop,omitempty"`
	// Tried lists the models of earlier hops that gave no answer, in order.
	Tried []string `json:"tried,omitempty"`
	// Fallback says that another model can take the task when this one is not to
	// be had; without one the task waits for it.
	Fallback bool    `json:"fallback,omitempty"`
	Receipt  Receipt `json:"receipt"`
}

// RouteTask asks the router what becomes of a task: one model could not do it, its
// answer was not accepted, or an accepted answer is to be compared.
type RouteTask struct {
	Envelope
	Task GenerateTask `json:"task"` // its receipt holds the attempts made
	// Error says why there is no answer; RetryAfterMS is when the model may be back.
	Error        *Error `json:"error,omitempty"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
	// Judged is an answer that was not accepted, or with Compare one that was and is
	// to be compared with another model's.
	Judged  *Judged `json:"judged,omitempty"`
	Compare bool    `json:"compare,omitempty"`
}

// Source is one retrieved chunk as it was numbered in the prompt.
type Source struct {
	Number   int      `json:"number"` // from 1, as in [1]
	Document string   `json:"document"`
	Source   string   `json:"source,omitempty"`
	Title    string   `json:"title,omitempty"`
	Section  []string `json:"section,omitempty"`
	Score    float32  `json:"score"`
	// Chunk and Version name what was read; Start and End are its byte offsets in
	// the document's text, Page its first page where there are pages.
	Chunk   string `json:"chunk,omitempty"`
	Version int64  `json:"version,omitempty"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
	Page    int    `json:"page,omitempty"`
	// Text is the passage; tasks have it, results don't.
	Text string `json:"text,omitempty"`
	// Quote is the part of the passage that supports the answer, in a citation;
	// Support is the share of the citing sentence's words that are in it.
	Quote   string  `json:"quote,omitempty"`
	Support float64 `json:"support,omitempty"`
}

// Status is how a job ended.
type Status string

// The ends of a job.
const (
	StatusOK     Status = "ok"
	StatusFailed Status = "failed"
)

// Result is a finished job: the one message on its result subject.
type Result struct {
	V      int    `json:"v"`
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Kind   Kind   `json:"kind"`
	Status Status `json:"status"`
	// Answer is set when a generate job succeeded.
	Answer *Answer `json:"answer,omitempty"`
	// Ingested is set when an ingest or delete job succeeded.
	Ingested *Ingested `json:"ingested,omitempty"`
	// Verified is set when a verify job succeeded.
	Verified *Verified `json:"verified,omitempty"`
	// Reindexed is set when a reindex job succeeded.
	Reindexed *Reindexed `json:"reindexed,omitempty"`
	// Embedded is set when an embed job succeeded.
	Embedded *Embedded `json:"embedded,omitempty"`
	// Batch is set when a batch job ended, finished or stopped early.
	Batch *Batch `json:"batch,omitempty"`
	// Error is set when the job failed.
	Error      *Error    `json:"error,omitempty"`
	Receipt    Receipt   `json:"receipt"`
	FinishedAt time.Time `json:"finished_at"`
	// Webhook and Metadata are the job's.
	Webhook  string            `json:"webhook,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// FinishAbstained is the finish reason of an answer that no model was asked for:
// the passages found do not cover the question.
const FinishAbstained = "abstained"

// FinishTemplate is the finish reason of an answer that a policy has for when no
// model's was accepted.
const FinishTemplate = "template"

// Answer is a model's complete answer.
type Answer struct {
	Text string `json:"text"`
	// Citations lists the sources the text cites as [n], by number.
	Citations []Source `json:"citations,omitempty"`
	// Unsupported are the sentences that cite a source that does not hold them.
	Unsupported  []string `json:"unsupported,omitempty"`
	FinishReason string   `json:"finish_reason"`
	Model        string   `json:"model"`
	// ToolCalls are what the model wants called; Text may be empty then.
	ToolCalls []ToolCall `json:"tool_calls,omitempty"`
}

// Ingested says what an ingest or delete job did.
type Ingested struct {
	Collection string  `json:"collection"`
	Document   string  `json:"document"`
	Version    int64   `json:"version"`
	Outcome    Outcome `json:"outcome"`
	Chunks     int     `json:"chunks"`   // of the document
	Embedded   int     `json:"embedded"` // of them, by the model
	Reused     int     `json:"reused"`   // of them, with vectors the tenant had stored
	Removed    int     `json:"removed"`  // chunks of the version before
	Tokens     int     `json:"tokens"`   // of all chunks
	Bytes      int     `json:"bytes"`    // of the document's text
}

// Outcome is what became of a document.
type Outcome string

// The outcomes.
const (
	OutcomeStored     Outcome = "stored"     // the new version answers
	OutcomeUnchanged  Outcome = "unchanged"  // content as before; metadata and access list are the new ones
	OutcomeDeleted    Outcome = "deleted"    // it is gone
	OutcomeSuperseded Outcome = "superseded" // a later version was there first
)

// Verified says what a verify job found.
type Verified struct {
	Documents int `json:"documents"`
	Points    int `json:"points"`
	// Orphans are points of no current chunk, Missing are chunks without a point,
	// by document; at most 1000 of each are named, all are counted.
	Orphans     []Finding `json:"orphans,omitempty"`
	Missing     []Finding `json:"missing,omitempty"`
	OrphanCount int       `json:"orphan_count"`
	// MissingCount counts chunks; Unfinished counts documents whose new version
	// was begun and not finished.
	MissingCount int `json:"missing_count"`
	Unfinished   int `json:"unfinished"`
	// MetaStale counts points whose metadata or access list is not the document's.
	MetaStale int `json:"meta_stale"`
	// Reread names the documents to ingest again, because chunks of them are gone.
	Reread []string `json:"reread,omitempty"`
	Fixed  bool     `json:"fixed"`
}

// OK reports whether nothing was found to be wrong.
func (v *Verified) OK() bool {
	return v.OrphanCount+v.MissingCount+v.Unfinished+v.MetaStale == 0
}

// Reindexed says which documents are read again.
type Reindexed struct {
	Documents int `json:"documents"`
	// Jobs are the ids of their ingest jobs, at most 1000.
	Jobs []string `json:"jobs,omitempty"`
	// Incomplete are documents of which chunks are missing in the store: they must
	// be ingested from their source.
	Incomplete []string `json:"incomplete,omitempty"`
}

// Finding names a chunk.
type Finding struct {
	Collection string `json:"collection"`
	Document   string `json:"document"`
	Chunk      string `json:"chunk"`
}

// Receipt says what a job took. It travels with the job and grows at each stage.
type Receipt struct {
	// Attempts lists the model calls, in order.
	Attempts         []Attempt `json:"attempts,omitempty"`
	PromptTokens     int       `json:"prompt_tokens"`
	CompletionTokens int       `json:"completion_tokens"`
	CostNanoUSD      int64     `json:"cost_nano_usd"`
	// WaitingMS is time spent in queues, RetrievingMS in embedding the query
	// and searching, GeneratingMS in model calls, TotalMS from submission to end.
	WaitingMS    float64 `json:"waiting_ms"`
	RetrievingMS float64 `json:"retrieving_ms"`
	GeneratingMS float64 `json:"generating_ms"`
	TotalMS      float64 `json:"total_ms"`
	// Retrieval says what grounded the answer; nil when nothing was looked up.
	Retrieval *Retrieval `json:"retrieval,omitempty"`
	// Routing says how the model was chosen; nil when the job named it.
	Routing *Routing `json:"routing,omitempty"`
	// Cache says that the answer was known; nil when a model gave it.
	Cache *CacheHit `json:"cache,omitempty"`
	// Asked is what a generate job asked for, in numbers; quotes are learned from it.
	Asked *Asked `json:"asked,omitempty"`
}

// Retrieval says how sources were found and which versions were read.
type Retrieval struct {
	Lists    []string `json:"lists"` // dense, bm25, grams
	Fusion   string   `json:"fusion,omitempty"`
	Reranker string   `json:"reranker,omitempty"`
	// Coverage is the part of the question's words that the passages cover, 0 to 1.
	Coverage float64         `json:"coverage"`
	Sources  []SourceVersion `json:"sources,omitempty"` // as numbered in the prompt
}

// SourceVersion names what was read of a version of a document.
type SourceVersion struct {
	Document string   `json:"document"`
	Version  int64    `json:"version"`
	Chunks   []string `json:"chunks"`
}

// Attempt is one call to one model.
type Attempt struct {
	Model            string  `json:"model"`
	PromptTokens     int     `json:"prompt_tokens"`
	CompletionTokens int     `json:"completion_tokens"`
	CostNanoUSD      int64   `json:"cost_nano_usd"`
	DurationMS       float64 `json:"duration_ms"`
	TTFTMS           float64 `json:"ttft_ms,omitempty"` // time to the first token
	// WaitedMS is the time before the call in which a limit or a breaker held it.
	WaitedMS float64 `json:"waited_ms,omitempty"`
	// Error is the class of a failed call; "" when it was answered.
	Error Class `json:"error,omitempty"`
	// MaybeBilled: the call failed after it was sent, so it may be on the bill;
	// its cost here is the estimate.
	MaybeBilled bool `json:"maybe_billed,omitempty"`
	// Reused: the answer came from the ledger, paid for by an earlier delivery.
	Reused bool `json:"reused,omitempty"`
	// Catalog is the revision that priced the call.
	Catalog string `json:"catalog,omitempty"`
	// For is what the call was made for when it was not for the first answer: repair,
	// agree-N or judge-N, embed, rerank.
	For string `json:"for,omitempty"`
	// Gates are what the answer's gates found, P the probability that came of it.
	Gates []GateResult `json:"gates,omitempty"`
	P     *float64     `json:"p,omitempty"`
}

// Add records a call and adds it to the totals.
func (r *Receipt) Add(a Attempt) {
	r.Attempts = append(r.Attempts, a)
	r.PromptTokens += a.PromptTokens
	r.CompletionTokens += a.CompletionTokens
	r.CostNanoUSD += a.CostNanoUSD
}

// Calls counts the calls to chat models that were made for the job, by whichever
// delivery.
func (r *Receipt) Calls() int {
	n := 0
	for _, a := range r.Attempts {
		if a.For != ForEmbed && a.For != ForRerank {
			n++
		}
	}
	return n
}

// Values of Attempt.For.
const (
	ForRepair = "repair"
	ForEmbed  = "embed"
	ForRerank = "rerank"
)

// Milliseconds converts a duration to the unit of receipts.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Life is one event in the life of a job, on its event subject.
type Life struct {
	V    int       `json:"v"`
	ID   string    `json:"id"`
	Type string    `json:"type"` // see the Life constants
	At   time.Time `json:"at"`
	// Stage is the room that speaks.
	Stage string `json:"stage"`
	// Attempt counts deliveries of the message, from 1.
	Attempt int `json:"attempt,omitempty"`
	// Detail is a short human-readable remark.
	Detail string `json:"detail,omitempty"`
	// Error is set on retrying.
	Error *Error `json:"error,omitempty"`
	// RetryMS is when a retry will start at the earliest, from At.
	RetryMS int64 `json:"retry_ms,omitempty"`
	// Progress is set on chunked, embedded and progress.
	Progress *Progress `json:"progress,omitempty"`
	// Wait is set on waiting and retrying.
	Wait *Wait `json:"wait,omitempty"`
}

// Progress is how far a job has come.
type Progress struct {
	Done  int `json:"done"` // chunks, or lines of a batch
	Total int `json:"total"`
	// Failed are those of Done, lines of a batch, that failed.
	Failed int `json:"failed,omitempty"`
	// Tokens are those of the chunks done.
	Tokens int `json:"tokens,omitempty"`
}

// The types of life events. A job's end is no event: it is its result.
const (
	LifeAccepted  = "accepted"  // stored, and waiting for its turn or its time
	LifePlanned   = "planned"   // sources retrieved, model chosen
	LifeChunked   = "chunked"   // document parsed and cut
	LifeRetrying  = "retrying"  // a try failed and will be repeated
	LifeWaiting   = "waiting"   // a limit, breaker or budget holds it; RetryMS is the expected wait
	LifeFallback  = "fallback"  // another model takes over
	LifeEscalated = "escalated" // an answer was not accepted, another model is asked
	LifeBudget    = "budget"    // the tenant's spend has reached a part of its budget
	LifeEmbedded  = "embedded"  // a batch of the document's chunks is stored
	LifeProgress  = "progress"  // how far a long job has come
)

// Token is a piece of an answer on the job's token subject. A reader shows the
// deltas of the highest epoch only: a new epoch means the answer starts over.
type Token struct {
	V     int    `json:"v"`
	ID    string `json:"id"`
	Type  string `json:"type"` // TokenDelta or TokenDone
	Epoch int64  `json:"epoch"`
	// Offset is how many bytes of the answer come before Text, which shows a reader
	// that pieces were lost; 0 is the first piece, or not known.
	Offset int    `json:"offset,omitempty"`
	Text   string `json:"text,omitempty"`
}

// EpochBits is room for the calls of one delivery in the epoch of its tokens.
const EpochBits = 6

// The types of token messages.
const (
	TokenDelta = "delta"
	TokenDone  = "done"
)

// EmbedRequest asks the embedder, by request and reply, for query vectors.
type EmbedRequest struct {
	V      int      `json:"v"`
	Inputs []string `json:"inputs"`
}

// EmbedReply answers an EmbedRequest: vectors in the inputs' order, or Error.
type EmbedReply struct {
	V int `json:"v"`
	// Working says that the answer is still to come: a sign of life.
	Working bool        `json:"working,omitempty"`
	Vectors [][]float32 `json:"vectors,omitempty"`
	// Model made the vectors: they are to be searched where its own are.
	Model       string `json:"model,omitempty"`
	Tokens      int    `json:"tokens,omitempty"`
	CostNanoUSD int64  `json:"cost_nano_usd,omitempty"`
	Failure
}

// Failure says in a reply why there is no answer. The zero value is none.
type Failure struct {
	Error *Error `json:"error,omitempty"`
	// RetryAfterMS is Error's least wait before another try, which its own JSON
	// leaves out.
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

// FailureOf returns what a reply says of an error.
func FailureOf(err error) Failure {
	e := AsError(err)
	return Failure{Error: e, RetryAfterMS: e.RetryAfter.Milliseconds()}
}

// Err is the error that a reply tells of, with its wait, or nil.
func (f Failure) Err() error {
	if f.Error == nil {
		return nil
	}
	e := *f.Error
	e.RetryAfter = time.Duration(f.RetryAfterMS) * time.Millisecond
	return &e
}

// QueryRequest asks a router, by request and reply on QueryRPC, what retrieval
// finds; the subject says the tenant.
type QueryRequest struct {
	V    int    `json:"v"`
	Text string `json:"text"`
	RAG
}

// QueryReply answers a QueryRequest: hits, the best first, or Error.
type QueryReply struct {
	V    int        `json:"v"`
	Hits []QueryHit `json:"hits,omitempty"`
	// Lists are those searched; Fusion and Reranker joined and ordered them.
	Lists    []string `json:"lists,omitempty"`
	Fusion   string   `json:"fusion,omitempty"`
	Reranker string   `json:"reranker,omitempty"`
	// Coverage is the part of the question's words the passages cover.
	Coverage    float64 `json:"coverage"`
	Tokens      int     `json:"tokens,omitempty"`
	CostNanoUSD int64   `json:"cost_nano_usd,omitempty"`
	Failure
}

// QueryHit is one passage found.
type QueryHit struct {
	Source
	Metadata map[string]string `json:"metadata,omitempty"`
	// Lists says, by list, where it was found and with what score.
	Lists map[string]ListPlace `json:"lists,omitempty"`
	// Fused is the rank after the fusion, Rerank the reranker's score.
	Fused  int      `json:"fused"`
	Rerank *float64 `json:"rerank,omitempty"`
}

// ListPlace is where one list has a hit.
type ListPlace struct {
	Rank  int     `json:"rank"` // from 1
	Score float32 `json:"score"`
}

// RerankRequest asks the embedder, by request and reply on RerankRPC, how well
// passages answer a query.
type RerankRequest struct {
	V        int      `json:"v"`
	Query    string   `json:"query"`
	Passages []string `json:"passages"`
}

// RerankReply answers a RerankRequest: a score per passage, in their order, or
// Error.
type RerankReply struct {
	V           int       `json:"v"`
	Working     bool      `json:"working,omitempty"`
	Scores      []float64 `json:"scores,omitempty"`
	Tokens      int       `json:"tokens,omitempty"`
	CostNanoUSD int64     `json:"cost_nano_usd,omitempty"`
	Failure
}
