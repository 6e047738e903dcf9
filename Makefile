# `make` prints what there is. Tools are pinned in modules under tools/ and built once into the
# user's cache folder (AITBC_CACHE moves it).

.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PART ?= path
RACE ?= -race
# Versions come from git when there is one; the build must not need it.
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unversioned)

help: ## Show this.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Start a whole network, send a job through it, stay up. ARGS are flags for aitbcd dev.
	@go build -o bin/devnet ./tools/devnet
	@exec bin/devnet -- $(ARGS)

build: bin/grpcurl ## Build aitbc and aitbcd (and grpcurl) into bin/.
	@echo "building bin/aitbc and bin/aitbcd (the first time takes minutes) ..."
	@go build -trimpath -ldflags '-X main.version=$(VERSION) -X main.buildVersion=$(VERSION)' -o bin/ ./clients/aitbc ./services/aitbcd

bin/grpcurl: tools/grpcurl/go.mod tools/grpcurl/go.sum
	@echo "building bin/grpcurl ..."
	@mkdir -p $(@D) && install "$$(go run ./tools/tool -path grpcurl/grpcurl)" $@

# The last lines are those of `go test`: ok or FAIL.
test: check e2e ## Everything, with the race detector.

check: tidy-check generate-check golangci unit ## All but the end-to-end tests, the quickest first.

golangci: ## The linters; .golangci.yaml says which and why.
	go vet ./...
	go run ./tools/tool golangci/golangci-lint run ./...
	cd tools/protodeps && "$$(go -C ../.. run ./tools/tool -path golangci/golangci-lint)" run ./...
	cd tools/river && "$$(go -C ../.. run ./tools/tool -path golangci/golangci-lint)" run ./...

unit: engine ## All tests but the end-to-end ones.
	go -C tools/protodeps test $(RACE) -shuffle=on ./...
	go test $(RACE) -shuffle=on $$(go list ./... | grep -v /tools/e2e)

e2e: engine ## The end-to-end tests: real processes, real ledger, real Ollama.
	go test $(RACE) -shuffle=on -timeout 20m ./tools/e2e/...

engine: ## Find or build Ollama, once.
	@go run ./tools/engine/cmd/engine ensure

bench: build engine ## Measure; PART names what (path, stream, surfaces, fair, ledger, queue, growth, latency, overload, miners), ARGS are flags of tools/bench.
	@go run ./tools/bench -part $(PART) $(ARGS)

chaos: ## Break a network of real processes; PART names how (points, random, bugs), ARGS are flags of tools/chaos.
	@mkdir -p bin/chaos
	@echo "building bin/chaos/aitbcd with its crash points ..."
	@go build -tags chaos -o bin/chaos/ ./services/aitbcd
	@go run ./tools/chaos -part $(if $(filter path,$(PART)),points,$(PART)) $(ARGS)

generate: ## Generate gen/, docs and proto/third_party from the contracts.
	go run ./tools/generate
	go run ./services/internal/apierr/gen

generate-check: ## Fail when something generated is not fresh.
	go run ./tools/generate -check

release-contract: ## Make the contracts of now what `generate` compares with.
	go run ./tools/generate -release

tidy-check:
	go mod tidy -diff

lint: ## The architecture's tests.
	go test ./tools/lint

clean: ## Remove bin/ and the state of `make run`.
	rm -rf bin state

.PHONY: help run build test check golangci unit e2e engine bench chaos generate generate-check release-contract tidy-check lint clean
