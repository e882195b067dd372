package batch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

// row is a line of an output or error file, in OpenAI's shape.
type row struct {
	ID       string    `json:"id"`
	CustomID string    `json:"custom_id"`
	Response *response `json:"response"`
	Error    *failure  `json:"error"`
}

// response is what the line's request was answered with.
type response struct {
	StatusCode int    `json:"status_code"`
	RequestID  string `json:"request_id"` // the line's job
	Body       any    `json:"body"`
}

// failure says why there is no answer.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// outcome is what the files say of a result.
func (r *run) outcome(l line, result event.Result) row {
	if err := openai.FailureOf(result); err != nil {
		return refusedLine(result.ID, l.CustomID, err)
	}
	return row{ID: rowID(result.ID), CustomID: l.CustomID,
		Response: &response{StatusCode: http.StatusOK, RequestID: result.ID, Body: r.body(l.Body, result)}}
}

func rowID(job string) string { return "batch_req_" + job }

// refusedLine is what the files say of a line that failed.
func refusedLine(job, customID string, err error) row {
	status, body := openai.ErrorOf(err)
	code := string(event.AsError(err).Class)
	if body.Error.Code != nil {
		code = *body.Error.Code
	}
	return row{ID: rowID(job), CustomID: customID, Response: &response{StatusCode: status, RequestID: job, Body: body},
		Error: &failure{Code: code, Message: body.Error.Message}}
}

// spool keeps what came of the lines, in the order in which they were done.
type spool struct {
	*os.File
	at    int64
	spans []span // by line
}

func (s *spool) add(i int, row any) error {
	data, err := json.Marshal(row)
	if err != nil {
		return fmt.Errorf("encoding what came of a line: %w", err)
	}
	data = append(data, '\n')
	if _, err := s.WriteAt(data, s.at); err != nil {
		return event.Errorf(event.ClassUnavailable, "keeping what came of a line: %w", err)
	}
	s.spans[i] = span{at: s.at, length: int32(len(data))} //nolint:gosec // a result's size is bounded
	s.at += int64(len(data))
	return nil
}

// finish writes the files and returns the batch's result.
func (r *run) finish(ctx context.Context, end ending) (event.Result, error) {
	now := r.s.p.Now()
	result := r.job.ResultOf(event.KindBatch, now)
	r.mu.Lock()
	r.stopping = true // what comes now is not looked at
	states := slices.Clone(r.states)
	result.Receipt = r.receipt
	r.mu.Unlock()
	b := &event.Batch{InputFile: r.job.InputFile, Total: len(states), Canceled: end == stopped, Expired: end == tooLate, CostNanoUSD: result.Receipt.CostNanoUSD}
	for _, s := range states {
		switch s {
		case answered:
			b.Completed++
		case failing:
			b.Failed++
		}
	}
	result.Receipt.TotalMS = event.Milliseconds(now.Sub(r.rec.At))
	var err error
	if b.Completed > 0 {
		b.OutputFile, err = r.write(ctx, "output", func(w io.Writer) error { return r.copyRows(w, states, answered, nil) })
	}
	if err == nil && b.Completed < b.Total {
		b.ErrorFile, err = r.write(ctx, "errors", func(w io.Writer) error { return r.copyRows(w, states, failing, undoneError(end)) })
	}
	result.Batch = b
	return result, err
}

// undoneError is what the files say of lines that were not done.
func undoneError(end ending) *failure {
	if end == stopped {
		return &failure{Code: "batch_cancelled", Message: "This request was not executed because the batch was cancelled."}
	}
	return &failure{Code: "batch_expired", Message: "This request could not be executed before the completion window expired."}
}

// write stores a file of the batch, under the same id whenever it is written.
func (r *run) write(ctx context.Context, part string, fill func(io.Writer) error) (string, error) {
	from, to := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(to, 256<<10)
		to.CloseWithError(errors.Join(fill(out), out.Flush()))
	}()
	defer from.Close() //nolint:errcheck // ends the writer, if it is still at work
	info, err := r.s.files.Put(ctx, r.job.Tenant, file.Info{ID: file.BatchID(r.job.Tenant, r.job.ID, part), Purpose: "batch_output",
		Name: r.job.ID + "_" + part + ".jsonl", Batch: r.job.ID}, file.Limited{R: from, Limit: math.MaxInt64})
	return info.ID, err
}

// copyRows writes what came of the lines of a state, in the order of the input; those
// that were not done, too, if what is to be said of them is.
func (r *run) copyRows(w io.Writer, states []state, of state, unfinished *failure) error {
	for i, s := range states {
		var err error
		switch {
		case s == of:
			_, err = io.Copy(w, io.NewSectionReader(r.spool, r.spool.spans[i].at, int64(r.spool.spans[i].length)))
		case s != answered && s != failing && unfinished != nil:
			err = r.writeUndone(w, i, unfinished)
		}
		if err != nil {
			return fmt.Errorf("writing what came of line %d: %w", r.in.lines[i].number, err)
		}
	}
	return nil
}

func (r *run) writeUndone(w io.Writer, i int, why *failure) error {
	l, err := r.in.read(i)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(row{ID: rowID(r.jobID(i)), CustomID: l.CustomID, Error: why})
}
