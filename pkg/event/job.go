package event

import "time"

// EmbedJob asks for the vectors of texts.
type EmbedJob struct {
	Envelope
	// Model names an embedding model of the catalog; "" takes the one that documents
	// are embedded with.
	Model  string   `json:"model,omitempty"`
	Inputs []string `json:"inputs"`
}

// Embedded are the vectors of an embed job's inputs, in their order.
type Embedded struct {
	Model      string `json:"model"`
	Dimensions int    `json:"dimensions"`
	// Vectors are little-endian float32, in base64 in JSON.
	Vectors [][]byte `json:"vectors"`
	Tokens  int      `json:"tokens"`
}

// BatchJob runs a file of requests, a JSON object a line, and ends with files of
// what came of them. It is in OpenAI's form, see docs/openai.md.
type BatchJob struct {
	Envelope
	InputFile string `json:"input_file"`
	// Endpoint is that of all lines: /v1/chat/completions, /v1/embeddings or /v1/jobs.
	Endpoint string `json:"endpoint"`
}

// Batch says what came of a batch.
type Batch struct {
	InputFile string `json:"input_file"`
	// OutputFile has a line per request that was answered, ErrorFile one per request
	// that failed; "" when there are none.
	OutputFile string `json:"output_file,omitempty"`
	ErrorFile  string `json:"error_file,omitempty"`
	Total      int    `json:"total"`
	Completed  int    `json:"completed"`
	Failed     int    `json:"failed"`
	// Canceled and Expired say that it ended before all lines were done.
	Canceled    bool  `json:"canceled,omitempty"`
	Expired     bool  `json:"expired,omitempty"`
	CostNanoUSD int64 `json:"cost_nano_usd"`
}

// BatchRecord is what is noted of a batch while it runs: the value of its key in the
// bucket of batches. How it ended is in its result.
type BatchRecord struct {
	V         int       `json:"v"`
	ID        string    `json:"id"`
	InputFile string    `json:"input_file"`
	Endpoint  string    `json:"endpoint"`
	At        time.Time `json:"at"`
	Deadline  time.Time `json:"deadline,omitzero"`
	// Metadata is the job's.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Total is how many lines the file has; StartedAt is when they had been checked.
	Total     int       `json:"total,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	// CancelingAt is when somebody asked for it to stop, FinalizingAt when all lines
	// were done or given up.
	CancelingAt  time.Time `json:"canceling_at,omitzero"`
	FinalizingAt time.Time `json:"finalizing_at,omitzero"`
}

// Wait says what holds a job.
type Wait struct {
	Cause WaitCause `json:"cause"`
	// Name is that of the limit (group and dimension), breaker, budget or tenant.
	Name string `json:"name,omitempty"`
	// Until is when it is expected to move, if that is known.
	Until time.Time `json:"until,omitzero"`
}

// WaitCause is what kind of thing holds a job.
type WaitCause string

// The causes.
const (
	WaitLimit    WaitCause = "limit"    // a provider's rate limit
	WaitBreaker  WaitCause = "breaker"  // a provider that is down or parked
	WaitBudget   WaitCause = "budget"   // the tenant has spent its budget
	WaitShare    WaitCause = "share"    // other tenants' turn, or the tenant's own backlog
	WaitSchedule WaitCause = "schedule" // not_before
	WaitFlight   WaitCause = "flight"   // an identical job's answer
	WaitRetry    WaitCause = "retry"    // a try failed, another one follows
	WaitWorkers  WaitCause = "workers"  // nobody takes the jobs of the stage
	WaitDeadline WaitCause = "deadline" // its deadline comes before its turn
)

// Submission is the record of a job that was accepted over HTTP: the value of its
// key in the bucket of jobs.
type Submission struct {
	V    int  `json:"v"`
	Kind Kind `json:"kind"`
	Lane Lane `json:"lane"`
	// Hash is that of the body: another one under the same id is refused.
	Hash string    `json:"hash"`
	At   time.Time `json:"at"`
	// Stored says that the job is in its stream: until then a repetition submits it
	// again.
	Stored    bool      `json:"stored,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Deadline  time.Time `json:"deadline,omitzero"`
	// Model and Task are a generate job's; Collection that of the documents.
	Model      string            `json:"model,omitempty"`
	Task       string            `json:"task,omitempty"`
	Collection string            `json:"collection,omitempty"`
	Webhook    string            `json:"webhook,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	// Batch is the batch that submitted it.
	Batch string `json:"batch,omitempty"`
}

// ResultOf is the result of the job of an envelope, of what every result has.
func (e *Envelope) ResultOf(kind Kind, now time.Time) Result {
	return Result{V: Version, ID: e.ID, Tenant: e.Tenant, Kind: kind, Status: StatusOK, FinishedAt: now.UTC(),
		Webhook: e.Webhook, Metadata: e.Metadata}
}
