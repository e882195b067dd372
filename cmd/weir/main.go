// Command weir is the whole of Weir on one machine and the tool to talk to any:
// `weir up` runs every service in one process, the other commands submit jobs,
// follow them and look after the queues.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// cli is the command line. Help texts with an example each are in help.go.
type cli struct {
	NatsURL   string `name:"nats-url" env:"WEIR_NATS_URL" placeholder:"URL" help:"NATS server that Weir runs on (default: nats://127.0.0.1:4222)."`
	NatsCreds string `name:"nats-creds" env:"WEIR_NATS_CREDS" placeholder:"FILE" help:"Credentials file for the NATS server."`
	Tenant    string `env:"WEIR_TENANT" default:"default" help:"Tenant to work as."`
	JSON      bool   `name:"json" help:"Print JSON, one object a line."`

	Up        upCmd        `cmd:"" help:"Run all of Weir in this process."`
	Ingest    ingestCmd    `cmd:"" help:"Store documents in a collection."`
	Docs      docsCmd      `cmd:"" help:"List, show, remove, reindex or verify documents."`
	Query     queryCmd     `cmd:"" help:"Show what retrieval finds in a collection, and why."`
	Migrate   migrateCmd   `cmd:"" help:"Change the embedding model."`
	Snapshot  snapshotCmd  `cmd:"" help:"Make, list, remove or restore snapshots of the vectors."`
	Ask       askCmd       `cmd:"" help:"Ask a question about a collection."`
	Batch     batchCmd     `cmd:"" help:"Run files of requests."`
	Submit    submitCmd    `cmd:"" help:"Submit a job from a JSON file."`
	Result    resultCmd    `cmd:"" help:"Print the result of a job."`
	Watch     watchCmd     `cmd:"" help:"Follow a job to its end."`
	Jobs      jobsCmd      `cmd:"" help:"List, show or cancel jobs, or say why they wait."`
	Status    statusCmd    `cmd:"" help:"Show streams, consumers, backlog and work in flight."`
	Outcomes  outcomesCmd  `cmd:"" help:"Print what models did with the questions of tasks, for weir calibrate."`
	Top       topCmd       `cmd:"" help:"Watch queues, limits, breakers and spending."`
	Limits    limitsCmd    `cmd:"" help:"Show how far each provider's limits are used, and what is down."`
	Spend     spendCmd     `cmd:"" help:"Show what was spent, by tenant, model or job."`
	Dead      deadCmd      `cmd:"" help:"List, show or redrive dead letters."`
	Webhooks  webhooksCmd  `cmd:"" help:"List, redeliver or test webhooks."`
	Config    configCmd    `cmd:"" help:"Show the effective configuration."`
	Tenants   tenantCmd    `cmd:"" name:"tenant" help:"Add, list or remove tenants, or give one another key."`
	Catalog   catalogCmd   `cmd:"" help:"Check, show or import a catalog of models."`
	Calibrate calibrateCmd `cmd:"" help:"Choose models per task from recorded outcomes; write the policy table."`
	Replay    replayCmd    `cmd:"" help:"Run a policy table over recorded outcomes."`
	Demo      demoCmd      `cmd:"" help:"Run the main job once, on embedded servers, and exit."`
	Dev       devCmd       `cmd:"" help:"Run one embedded server by itself."`
	Version   versionCmd   `cmd:"" help:"Print the version."`

	Completion kongcompletion.Completion `cmd:"" help:"Print what makes a shell complete commands (bash, zsh, fish)."`
}

// Exit codes.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitJobFailed   = 3
	exitNoResult    = 4
	exitUnreachable = 5
	exitTimeout     = 6
	exitFull        = 7
)

// codedError carries an exit code with an error.
type codedError struct {
	code int
	error
}

func (e *codedError) Unwrap() error { return e.error }

func coded(code int, format string, args ...any) error {
	return &codedError{code, fmt.Errorf(format, args...)}
}

// env is what a command works with.
type env struct {
	ctx context.Context //nolint:containedctx // the process's context, handed to the one command that runs
	out io.Writer
	err io.Writer
	*cli
}

// run parses and runs one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	exited, code := false, exitOK
	parser, err := kong.New(&c, kong.Name("weir"), kong.Description(description), kong.UsageOnError(),
		kong.Writers(stdout, stderr), kong.Exit(func(status int) { exited, code = true, status }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}), kong.Help(helpWithExample))
	if err != nil {
		fmt.Fprintln(stderr, "weir:", err)
		return exitError
	}
	// A shell that asks for completions says so in its environment.
	kongcompletion.Register(parser, kongcompletion.WithExitFunc(func(status int) { exited, code = true, status }))
	if exited {
		return code
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	command, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "weir: %v\nRun weir --help for the commands.\n", err)
		return exitUsage
	}
	if err := command.Run(&env{ctx: ctx, out: stdout, err: stderr, cli: &c}); err != nil {
		fmt.Fprintln(stderr, "weir:", err)
		return exitCode(err)
	}
	return exitOK
}

func exitCode(err error) int {
	var c *codedError
	if errors.As(err, &c) {
		return c.code
	}
	if errors.Is(err, bus.ErrFull) {
		return exitFull
	}
	switch event.AsError(err).Class {
	case event.ClassInvalid: // a name on the command line
		return exitUsage
	case event.ClassUnavailable:
		return exitUnreachable
	}
	return exitError
}
