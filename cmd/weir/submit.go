package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type submitCmd struct {
	File    string        `arg:"" help:"JSON file with the job, - for standard input."`
	Kind    string        `help:"generate, ingest, delete, verify or reindex (default: generate, or ingest with the fields of a document)."`
	Lane    string        `help:"interactive or batch (default: the job's, else interactive)."`
	Wait    bool          `help:"Wait for the result and print it."`
	Timeout time.Duration `default:"0" help:"How long to wait with --wait (0: for ever)."`
}

// Run checks the job as the pipeline does, submits it, and prints its id.
func (c *submitCmd) Run(e *env) error {
	data, err := readJob(c.File)
	if err != nil {
		return err
	}
	id, addr, body, err := c.address(e, data)
	if err != nil {
		return coded(exitUsage, "%s: %w", c.File, err)
	}
	return e.withClient(func(cl *client.Client) error {
		if err := cl.Submit(e.ctx, addr, id, body); err != nil {
			return err
		}
		if c.Wait {
			return e.await(cl, addr.Tenant, id, c.Timeout)
		}
		if e.JSON {
			return e.printJSON(map[string]string{"id": id, "tenant": addr.Tenant, "subject": addr.Subject()})
		}
		fmt.Fprintln(e.out, id)
		return nil
	})
}

// address reads where the job goes, gives it an id if it has none, and checks
// it, so that a mistake is told at once.
func (c *submitCmd) address(e *env, data []byte) (id string, addr event.Address, body json.RawMessage, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return "", addr, nil, fmt.Errorf("no JSON object: %w", err)
	}
	if fields == nil { // null decodes as well
		return "", addr, nil, errors.New("no JSON object: null")
	}
	addr = event.Address{Kind: event.Kind(c.Kind), Lane: event.Lane(c.Lane), Tenant: e.Tenant}
	if addr.Kind == "" {
		addr.Kind = event.KindGenerate
		if bytes.HasPrefix(bytes.TrimSpace(fields["document"]), []byte("{")) { // of other kinds it is an id
			addr.Kind = event.KindIngest
		}
	}
	var head struct {
		ID, Tenant string
		Lane       event.Lane
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", addr, nil, fmt.Errorf("id, tenant or lane: %w", err)
	}
	addr.Lane = cmp.Or(addr.Lane, head.Lane, event.LaneInteractive)
	addr.Tenant = cmp.Or(head.Tenant, addr.Tenant)
	if head.ID == "" {
		head.ID = event.NewID(time.Now())
		fields["id"], err = json.Marshal(head.ID)
		if err != nil {
			return "", addr, nil, fmt.Errorf("encoding id: %w", err)
		}
	}
	if body, err = json.Marshal(fields); err != nil {
		return "", addr, nil, fmt.Errorf("encoding job: %w", err)
	}
	return head.ID, addr, body, check(addr, body)
}

func check(addr event.Address, body []byte) error {
	err := addr.Validate()
	if err != nil {
		return err
	}
	switch addr.Kind {
	case event.KindIngest:
		_, err = event.DecodeIngestJob(addr.Subject(), body)
	case event.KindDelete:
		_, err = event.DecodeDeleteJob(addr.Subject(), body)
	case event.KindVerify:
		_, err = event.DecodeVerifyJob(addr.Subject(), body)
	case event.KindReindex:
		_, err = event.DecodeReindexJob(addr.Subject(), body)
	default:
		_, err = event.DecodeGenerateJob(addr.Subject(), body)
	}
	return err
}

func readJob(file string) ([]byte, error) {
	if file == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return data, nil
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, coded(exitUsage, "no file %s; give the path of a JSON file, or - for standard input", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading job: %w", err)
	}
	return bytes.TrimSpace(data), nil
}
