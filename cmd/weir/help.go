package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

const description = `Event-driven, asynchronous LLM inference on NATS JetStream and Qdrant.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 the job failed, 4 no result (yet), 5 Weir can't be reached, 6 timed out, 7 the queue is full.`

// examples are shown at the end of each command's help.
func examples() map[string]string {
	return map[string]string{
		"up":                     "weir up --data-dir ./weir-data",
		"ingest":                 "weir ingest README.md docs/ --collection handbook",
		"docs ls":                "weir docs ls --collection handbook",
		"docs show":              "weir docs show docs/jobs.md --collection handbook",
		"docs rm":                "weir docs rm docs/jobs.md --collection handbook",
		"docs reindex":           "weir docs reindex --collection handbook",
		"docs verify":            "weir docs verify --fix",
		"completion":             "weir completion bash",
		"query":                  `weir query "exactly once" --collection handbook --explain`,
		"snapshot create":        "weir snapshot create --qdrant-addr 127.0.0.1:6334",
		"snapshot ls":            "weir snapshot ls",
		"snapshot rm":            "weir snapshot rm weir_embed_1024-2026-01-02-03-04-05.snapshot",
		"snapshot restore":       "weir snapshot restore ./qdrant-data/snapshots/weir_embed_1024/NAME --data-dir ./qdrant-data",
		"migrate":                "weir migrate --to text-embedding-3-small",
		"ask":                    `weir ask "How is a job kept from being lost?" --collection handbook`,
		"batch run":              "weir batch run in.jsonl -o out.jsonl",
		"batch cancel":           "weir batch cancel batch_01KB0Y2J5V6W7X8Y9Z0A1B2C3D",
		"submit":                 `echo '{"v":1,"id":"q1","messages":[{"role":"user","content":"Hello"}]}' | weir submit - --wait`,
		"result":                 "weir result q1 --json",
		"watch":                  "weir watch q1",
		"outcomes":               "weir outcomes --task math",
		"status":                 "weir status --json",
		"jobs ls":                "weir jobs ls --status failed --since 24h",
		"jobs show":              "weir jobs show q1",
		"jobs cancel":            "weir jobs cancel q1",
		"jobs why":               "weir jobs why q1",
		"top":                    "weir top",
		"limits":                 "weir limits --file catalog.yaml",
		"spend":                  "weir spend --by model --since 7d",
		"dead ls":                "weir dead ls --stage router",
		"dead show":              "weir dead show 17",
		"dead redrive":           "weir dead redrive --group 9f86d081884c --sample 5",
		"webhooks ls":            "weir webhooks ls --state dead",
		"webhooks redeliver":     "weir webhooks redeliver msg_0f3a...",
		"webhooks test":          "weir webhooks test https://example.com/hook",
		"webhooks secret":        "weir webhooks secret",
		"config":                 "weir config --changed",
		"tenant add":             "weir tenant add acme --scopes submit,read",
		"tenant ls":              "weir tenant ls --json",
		"tenant key":             "weir tenant key acme --label ci --expires 2160h",
		"tenant rm":              "weir tenant rm acme",
		"catalog check":          "weir catalog check catalog.yaml",
		"catalog show":           "weir catalog show small --file catalog.yaml",
		"catalog import litellm": "weir catalog import litellm model_prices_and_context_window.json --provider openai --match ^gpt-4",
		"calibrate":              "weir calibrate outcomes.jsonl --max-quality-loss 0.01 -o table.json",
		"replay":                 "weir replay table.json outcomes.jsonl",
		"demo":                   "weir demo README.md docs/",
		"dev nats":               "weir dev nats --addr 127.0.0.1:4222 --data-dir ./nats-data",
		"dev qdrant":             "weir dev qdrant --addr 127.0.0.1:6334 --data-dir ./qdrant-data",
		"dev llmsim":             "weir dev llmsim --profile openai --preset brownout --admin 127.0.0.1:8088",
		"version":                "weir version --json",
	}
}

// helpWithExample prints kong's help and the command's example.
func helpWithExample(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return fmt.Errorf("printing help: %w", err)
	}
	if node := ctx.Selected(); node != nil {
		if example, ok := examples()[commandPath(node)]; ok {
			fmt.Fprintf(ctx.Stdout, "\nExample:\n  %s\n", example)
		}
	}
	return nil
}

// commandPath is a command's name with its parents', without the program's.
func commandPath(node *kong.Node) string {
	if node.Parent == nil || node.Parent.Type == kong.ApplicationNode {
		return node.Name
	}
	return commandPath(node.Parent) + " " + node.Name
}
