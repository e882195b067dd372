package llmsim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Limits of the batch API.
const (
	maxBatchLines  = 50_000
	maxBatchInputs = 50_000 // embedding inputs of all lines
	batchWindow    = 24 * time.Hour
	maxBatchErrors = 100 // errors of an input file that are told
)

// Statuses of batches and background responses.
const (
	statusValidating = "validating"
	statusFailed     = "failed"
	statusInProgress = "in_progress"
	statusFinalizing = "finalizing"
	statusCompleted  = "completed"
	statusExpired    = "expired"
	statusCancelling = "cancelling"
	statusCancelled  = "cancelled"
)

// batchState is a batch as the API shows it.
type batchState struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"`
	Endpoint         string            `json:"endpoint"`
	Errors           *batchErrors      `json:"errors"`
	InputFileID      string            `json:"input_file_id"`
	CompletionWindow string            `json:"completion_window"`
	Status           string            `json:"status"`
	OutputFileID     *string           `json:"output_file_id"`
	ErrorFileID      *string           `json:"error_file_id"`
	CreatedAt        int64             `json:"created_at"`
	InProgressAt     *int64            `json:"in_progress_at"`
	ExpiresAt        int64             `json:"expires_at"`
	FinalizingAt     *int64            `json:"finalizing_at"`
	CompletedAt      *int64            `json:"completed_at"`
	FailedAt         *int64            `json:"failed_at"`
	ExpiredAt        *int64            `json:"expired_at"`
	CancellingAt     *int64            `json:"cancelling_at"`
	CancelledAt      *int64            `json:"cancelled_at"`
	RequestCounts    batchCounts       `json:"request_counts"`
	Metadata         map[string]string `json:"metadata"`
}

type batchCounts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

type batchErrors struct {
	Object string       `json:"object"`
	Data   []batchError `json:"data"`
}

type batchError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Param   *string `json:"param"`
	Line    *int    `json:"line"`
}

// batch is a batch being worked on.
type batch struct {
	mu      sync.Mutex
	state   batchState
	input   *file
	header  http.Header // of the request that made it: key and tenant
	output  bytes.Buffer
	failure bytes.Buffer
}

// shown returns a copy of the state.
func (b *batch) shown() batchState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// moves sets the status and the time of a state, unless the batch has ended or
// is being cancelled and the status is not how that ends.
func (b *batch) moves(status string, now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := &b.state
	if st.ended() || st.Status == statusCancelling && status != statusCancelled {
		return false
	}
	st.Status = status
	at := map[string]**int64{
		statusInProgress: &st.InProgressAt, statusFinalizing: &st.FinalizingAt, statusCompleted: &st.CompletedAt, statusFailed: &st.FailedAt,
		statusExpired: &st.ExpiredAt, statusCancelling: &st.CancellingAt, statusCancelled: &st.CancelledAt,
	}[status]
	if at != nil {
		*at = &now
	}
	return true
}

func (st *batchState) ended() bool {
	return slices.Contains([]string{statusFailed, statusCompleted, statusExpired, statusCancelled}, st.Status)
}

// batchEndpoints are those whose requests may be in a batch.
func batchEndpoints() []string {
	return []string{pathChat, pathEmbeddings, pathResponses, pathModerations}
}

// postBatch serves POST /v1/batches.
func (s *Server) postBatch(w http.ResponseWriter, r *http.Request) {
	var q struct {
		InputFileID      string            `json:"input_file_id"`
		Endpoint         string            `json:"endpoint"`
		CompletionWindow string            `json:"completion_window"`
		Metadata         map[string]string `json:"metadata"`
	}
	err := s.decode(w, r, &q)
	var input *file
	if err == nil {
		input, err = s.files.get("File object", q.InputFileID)
	}
	switch {
	case err != nil:
	case input.Purpose != "batch":
		err = invalid("input_file_id", "invalid_value", "Invalid 'input_file_id': the file has the purpose '%s', expected 'batch'.", input.Purpose)
	case !slices.Contains(batchEndpoints(), q.Endpoint):
		err = invalid("endpoint", "invalid_value", "Invalid value: '%s'. Supported values are: %q.", q.Endpoint, batchEndpoints())
	case q.CompletionWindow != "24h":
		err = invalid("completion_window", "invalid_value", "Invalid value: '%s'. Value must be '24h'.", q.CompletionWindow)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	now := s.cfg.Now()
	b := &batch{input: input, header: r.Header.Clone(), state: batchState{ID: s.batches.id(), Object: "batch", Endpoint: q.Endpoint, InputFileID: q.InputFileID,
		CompletionWindow: q.CompletionWindow, Status: statusValidating, CreatedAt: now.Unix(), ExpiresAt: now.Add(batchWindow).Unix(), Metadata: q.Metadata}}
	shown := b.shown()
	if err := s.batches.put(shown.ID, b, false); err != nil {
		writeError(w, err)
		return
	}
	if err := s.enqueue(func(ctx context.Context) { s.runBatch(ctx, b) }); err != nil {
		s.batches.remove(shown.ID)
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, shown)
}

// listBatches serves GET /v1/batches.
func (s *Server) listBatches(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, s.batches, func(b *batch) any { return b.shown() })
}

// withBatch calls fn with the batch the path names, then shows it.
func (s *Server) withBatch(fn func(b *batch) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := s.batches.get("Batch", r.PathValue("id"))
		if err == nil {
			err = fn(b)
		}
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, b.shown())
	}
}

// cancelBatch serves POST /v1/batches/{id}/cancel: the worker ends it.
func (s *Server) cancelBatch(b *batch) error {
	if st := b.shown(); !b.moves(statusCancelling, s.cfg.Now().Unix()) && st.Status != statusCancelling {
		return &apiError{status: http.StatusConflict, Type: typeInvalid, Message: fmt.Sprintf("Cannot cancel a batch with status '%s'.", st.Status)}
	}
	return nil
}

// batchLine is one request of a batch.
type batchLine struct {
	CustomID string          `json:"custom_id"`
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Body     json.RawMessage `json:"body"`
}

// runBatch works a batch off: its lines in order, until the end, a cancel or
// the end of its window.
func (s *Server) runBatch(ctx context.Context, b *batch) {
	lines, wrong := b.lines()
	if len(wrong) > 0 {
		b.mu.Lock()
		b.state.Errors = &batchErrors{Object: "list", Data: wrong}
		b.mu.Unlock()
		s.endBatch(ctx, b, statusFailed)
		return
	}
	b.mu.Lock()
	b.state.RequestCounts.Total = len(lines)
	b.mu.Unlock()
	b.moves(statusInProgress, s.cfg.Now().Unix())
	for i, line := range lines {
		st := b.shown()
		if st.Status == statusCancelling || s.cfg.Now().Unix() >= st.ExpiresAt {
			status, code, message := statusExpired, "batch_expired", "This request could not be executed before the completion window expired."
			if st.Status == statusCancelling {
				status, code, message = statusCancelled, "batch_cancelled", "This request was not executed before the batch was cancelled."
			}
			for j, left := range lines[i:] {
				b.fail(i+j, left, nil, code, message)
			}
			s.endBatch(ctx, b, status)
			return
		}
		out, err := s.offline(ctx, line.URL, b.header, line.Body)
		if err != nil {
			return // the server stops; the batch stays in progress
		}
		b.add(i, line, out)
	}
	b.moves(statusFinalizing, s.cfg.Now().Unix())
	s.endBatch(ctx, b, statusCompleted)
}

// endBatch stores the files, sets the last status and tells the webhook. A
// batch that was being cancelled ends cancelled.
func (s *Server) endBatch(ctx context.Context, b *batch, status string) {
	now := s.cfg.Now().Unix()
	for _, made := range []struct {
		content *bytes.Buffer
		id      **string
		name    string
	}{{&b.output, &b.state.OutputFileID, "output"}, {&b.failure, &b.state.ErrorFileID, "error"}} {
		if made.content.Len() == 0 {
			continue
		}
		f, err := s.files.add(b.state.ID+"_"+made.name+".jsonl", "batch_output", made.content.Bytes(), now)
		b.mu.Lock()
		if err == nil {
			*made.id = &f.ID
		} else {
			status = statusFailed
			b.state.Errors = &batchErrors{Object: "list", Data: []batchError{{Code: "storage_full", Message: err.Error()}}}
		}
		b.mu.Unlock()
	}
	if !b.moves(status, now) {
		b.moves(statusCancelled, now)
	}
	s.notify(ctx, "batch."+b.shown().Status, b.state.ID)
}

// lines reads the input file and returns what is wrong with it.
func (b *batch) lines() (lines []batchLine, wrong []batchError) {
	ids := map[string]bool{}
	inputs := 0
	n := 0
	for text := range bytes.Lines(b.input.content) {
		n++
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		var line batchLine
		code, message := b.checkLine(text, &line)
		if code == "" && ids[line.CustomID] {
			code, message = "duplicate_custom_id", fmt.Sprintf("The custom_id %q is given twice.", line.CustomID)
		}
		if code != "" && len(wrong) < maxBatchErrors {
			at := n
			wrong = append(wrong, batchError{Code: code, Message: message, Line: &at})
		}
		ids[line.CustomID] = true
		inputs += line.inputs()
		lines = append(lines, line)
	}
	switch {
	case len(lines) == 0:
		wrong = append(wrong, batchError{Code: "empty_file", Message: "The input file is empty. Please ensure that the batch contains at least one request."})
	case len(lines) > maxBatchLines:
		wrong = append(wrong, batchError{Code: "too_many_requests", Message: fmt.Sprintf("The input file has %d requests, the most is %d.", len(lines), maxBatchLines)})
	case inputs > maxBatchInputs:
		wrong = append(wrong, batchError{Code: "too_many_inputs", Message: fmt.Sprintf("The requests have %d embedding inputs, the most is %d.", inputs, maxBatchInputs)})
	}
	return lines, wrong
}

// checkLine reads one line and says what is wrong with it.
func (b *batch) checkLine(text []byte, line *batchLine) (code, message string) {
	err := json.Unmarshal(text, line)
	var body struct {
		Stream bool `json:"stream"`
	}
	switch {
	case err != nil:
		return "invalid_json_line", "This line is not parseable as valid JSON."
	case line.CustomID == "":
		return "missing_required_parameter", "Missing required parameter: 'custom_id'."
	case line.Method != http.MethodPost:
		return "invalid_method", fmt.Sprintf("The method is %q, expected POST.", line.Method)
	case line.URL != b.state.Endpoint:
		return "mismatched_url", fmt.Sprintf("The URL is %q, but the batch is for %s.", line.URL, b.state.Endpoint)
	case json.Unmarshal(line.Body, &body) != nil:
		return "invalid_request", "The body is not a JSON object."
	case body.Stream:
		return "invalid_request", "A request of a batch can't be streamed."
	}
	return "", ""
}

// inputs counts the embedding inputs of a line.
func (l *batchLine) inputs() int {
	if l.URL != pathEmbeddings {
		return 0
	}
	var body struct{ Input embedInput }
	if json.Unmarshal(l.Body, &body) != nil {
		return 0
	}
	return len(body.Input.list)
}

// batchAnswer is one line of an output or error file.
type batchAnswer struct {
	ID       string            `json:"id"`
	CustomID string            `json:"custom_id"`
	Response *batchResponse    `json:"response"`
	Error    map[string]string `json:"error"`
}

type batchResponse struct {
	StatusCode int             `json:"status_code"`
	RequestID  string          `json:"request_id"`
	Body       json.RawMessage `json:"body"`
}

// add writes the answer to line i into the output or the error file.
func (b *batch) add(i int, line batchLine, out *answerBuffer) {
	response := &batchResponse{StatusCode: out.status, RequestID: fmt.Sprintf("%s_%d", b.state.ID, i), Body: out.body.Bytes()}
	if out.status >= http.StatusBadRequest {
		var body struct {
			Error struct{ Code, Message string } `json:"error"`
		}
		_ = json.Unmarshal(out.body.Bytes(), &body) // an answer in another shape has no code
		b.fail(i, line, response, body.Error.Code, body.Error.Message)
		return
	}
	b.write(&b.output, batchAnswer{ID: batchRequestID(i), CustomID: line.CustomID, Response: response})
	b.mu.Lock()
	b.state.RequestCounts.Completed++
	b.mu.Unlock()
}

// fail writes line i into the error file.
func (b *batch) fail(i int, line batchLine, response *batchResponse, code, message string) {
	b.write(&b.failure, batchAnswer{ID: batchRequestID(i), CustomID: line.CustomID, Response: response,
		Error: map[string]string{"code": code, "message": message}})
	b.mu.Lock()
	b.state.RequestCounts.Failed++
	b.mu.Unlock()
}

func batchRequestID(i int) string { return fmt.Sprintf("batch_req_%d", i+1) }

// write appends a line to a file; only the worker does.
func (b *batch) write(to *bytes.Buffer, answer batchAnswer) {
	line, err := json.Marshal(answer)
	if err != nil { // a handler's answer that is no JSON
		answer.Response.Body, _ = json.Marshal(string(answer.Response.Body))
		line, _ = json.Marshal(answer)
	}
	to.Write(append(line, '\n'))
}
