# Modules are discovered from go.work; nothing below lists them by hand.
GO       ?= go
MODULES  := $(shell $(GO) list -m -f '{{.Dir}}')
BUILD    := $(CURDIR)/build
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)

GOLANGCI_VERSION    := v2.15.0
GOLANGCI := $(BUILD)/tools/golangci-lint-$(GOLANGCI_VERSION)

# The race detector needs a C compiler. Without one the tests run without it,
# except under CI=true, where that is an error.
CC_FOUND := $(shell command -v $(firstword $(shell $(GO) env CC)) 2>/dev/null)
ifneq ($(CC_FOUND),)
RACE := -race
else ifeq ($(CI),true)
RACE = $(error CI=true needs the race detector: install a C compiler)
endif

.DEFAULT_GOAL := help
.PHONY: help build demo test race lint tidy generate verify bench bench-cascade bench-gateway bench-ingest bench-limits bench-retrieval bench-scale e2e clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the weir binary and the services into build/
	@mkdir -p $(BUILD)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BUILD)/ ./cmd/weir $(wildcard ./services/*/cmd/*)

demo: ## Build one binary, ingest our own docs, ask questions, print cited answers
	@mkdir -p $(BUILD)
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BUILD)/weir ./cmd/weir
	@$(BUILD)/weir demo README.md docs

# CI runs every test anew; elsewhere those of unchanged packages are cached.
# The race detector is for the packages; those of the module test run them all together
# and would take twice as long with it: make race.
test: ## Run all tests, those of packages with the race detector where a C compiler is found
	$(GO) test $(RACE) $(if $(CI),-count=1) -timeout 15m $$($(GO) list work | grep -v /weir/test)
	$(GO) test $(if $(CI),-count=1) -timeout 15m ./test/...

race: ## Run all tests with the race detector
	$(GO) test -race -count=1 -timeout 30m work

lint: $(GOLANGCI) ## Lint every module
	@for dir in $(MODULES); do echo "lint $${dir#$(CURDIR)/}"; (cd $$dir && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

tidy: ## Tidy every module
	@for dir in $(MODULES); do (cd $$dir && GOWORK=off $(GO) mod tidy) || exit 1; done

generate: ## Regenerate golden files
	$(GO) test $$(grep -rl 'flag.Bool("update"' --include='*_test.go' . | xargs -n1 dirname | sort -u) -update

verify: ## Build and vet each module by itself; check modules, imports and docs
	@for dir in $(MODULES); do echo "verify $${dir#$(CURDIR)/}"; \
		(cd $$dir && export GOWORK=off && $(GO) build ./... && $(GO) vet ./... && $(GO) mod tidy -diff) || exit 1; done
	$(GO) test -count=1 ./test/repo

bench: bench-gateway ## Measure the pipeline beside bare JetStream, and what bench-gateway does; figures go to build/bench/
	$(GO) run ./test/bench -out $(BUILD)/bench

bench-cascade: ## Measure the cascade on recorded outcomes and through the queue; the chart goes to docs/
	@mkdir -p $(BUILD)/bench
	$(GO) run ./test/bench/cascade -out $(BUILD)/bench -svg docs/cascade.svg

bench-gateway: build ## Measure the HTTP API beside the provider, a batch of 50,000, idle streams, quotes
	@mkdir -p $(BUILD)/bench
	$(GO) run ./test/bench/gateway -weir $(BUILD)/weir -out $(BUILD)/bench

bench-ingest: ## Measure the stages of ingestion beside langchaingo and sha256, and on ugly files
	@mkdir -p $(BUILD)/bench
	$(GO) run ./test/bench/ingest -out $(BUILD)/bench

bench-limits: ## Measure fleets of workers under a provider's limits beside simpler ones (13 minutes)
	@mkdir -p $(BUILD)/bench
	$(GO) build -o $(BUILD)/limits ./test/limits
	$(BUILD)/limits -out $(BUILD)/bench -svg docs/limits.svg

bench-retrieval: ## Measure what is found without a model, by data set and language (2 minutes)
	@mkdir -p $(BUILD)/bench
	$(GO) run ./test/bench/retrieval -out $(BUILD)/bench

bench-scale: ## Ingest 100,000 chunks through the whole pipeline and ask about them (2 minutes)
	$(GO) run ./test/bench/scale -out $(BUILD)/bench

e2e: ## Run the end-to-end and crash tests only
	$(GO) test $(RACE) -count=1 -timeout 15m ./test/e2e/... ./test/chaos/... ./test/faults/...

clean: ## Remove what was built
	rm -rf $(BUILD)

$(GOLANGCI):
	@mkdir -p $(BUILD)/tools
	GOBIN=$(BUILD)/tools CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(BUILD)/tools/golangci-lint $@
