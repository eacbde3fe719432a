# Run `make` to see what there is. Everything that is built goes to build/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Docker's packages have no go.mod of their own: without this, Go would compile them as Go 1.16 and
# change the meaning of their loops. Nothing of the product needs cgo.
export GOFLAGS := -gcflags=github.com/docker/docker/...=-lang=go1.24
export CGO_ENABLED := 0
export PATH := $(CURDIR)/build/bin:$(PATH):/usr/sbin:/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN := build/bin
TOOLS := build/tools
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PROGRAMS := vicd vic vic-machine vic-lab tether

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install the Debian packages that are missing, and a docker command if there is none
	@contrib/dev/deps.sh

.PHONY: deps-tests
deps-tests:
	@contrib/dev/deps.sh tests

.PHONY: build
build: ## build all programs into build/bin
	@mkdir -p $(BIN)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(PROGRAMS:%=./bin/%)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/vic-driver-vsphere ./drivers/vsphere

.PHONY: iso
iso: build ## build the ISO images that VMs boot, into build/iso (PLUGINS=folder: with your plugins, see sdk/README.md)
	@mkdir -p $(TOOLS)
	@go build -trimpath -o $(TOOLS)/boot ./contrib/boot
	@$(TOOLS)/boot -version $(VERSION) -plugins '$(PLUGINS)'

.PHONY: images
images: $(TOOLS)/buildkitd ## build the test images from Debian packages, into build/registry
	@mkdir -p $(TOOLS)
	@go build -trimpath -o $(TOOLS)/images ./contrib/images
	@$(TOOLS)/images -check || $(SUDO) $(TOOLS)/images

# vic-machine and vic run where administrators sit; all else runs in the endpoint VM.
DIST_PLATFORMS := linux/amd64 linux/arm64 windows/amd64 darwin/amd64 darwin/arm64

.PHONY: dist
dist: iso ## build vic-machine and vic for Linux, Windows and macOS, images, man page and completion into build/dist, with checksums
	@contrib/dev/dist.sh '$(LDFLAGS)' $(DIST_PLATFORMS)

.PHONY: up
up: deps build iso images ## start the lab, make the VCH vch1 and run a container in it
	@contrib/dev/up.sh

.PHONY: down
down: ## stop the lab; `make up` brings the same VCH and containers back
	@if [ -x $(BIN)/vic-lab ]; then $(BIN)/vic-lab down; fi

.PHONY: clean
clean: down ## stop the lab and remove build/ and the lab's names in /etc/hosts
	@contrib/dev/clean.sh

.PHONY: test
test: deps-tests build iso images $(TOOLS)/gotestsum $(TOOLS)/govc $(TOOLS)/docker-compose ## run all tests: unit tests, then the stories on a lab of their own
	@contrib/dev/test.sh unit e2e

.PHONY: unit
unit: $(TOOLS)/gotestsum ## run the unit tests alone
	@contrib/dev/test.sh unit

.PHONY: e2e
e2e: deps-tests build iso images $(TOOLS)/gotestsum $(TOOLS)/govc $(TOOLS)/docker-compose ## run the stories alone (RUN=TestName for one)
	@contrib/dev/test.sh e2e

.PHONY: conformance
conformance: deps-tests ## run OCI's conformance tests against the hub's registry, on each database
	go test -count=1 -v -run '^TestConformance$$' ./core/registry

.PHONY: bench
bench: deps build iso images $(TOOLS)/govc ## measure, as ratios to what the machine itself can do
	VIC_E2E_BUILD=$(CURDIR)/build go run ./tests/bench

.PHONY: bench-registry
bench-registry: ## measure the hub's registry against distribution as it is
	go run ./tests/bench/registry

.PHONY: check
check: check-gen lint unit ## check generated code, formatting, lint and unit tests

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## gofmt, go vet and golangci-lint
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$bad" ]; then echo "not formatted (make fmt):"; echo "$$bad"; exit 1; fi
	go vet ./...
	$(TOOLS)/golangci-lint run ./...

.PHONY: fmt
fmt: ## format the Go code
	@gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: gen
gen: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## generate the protocol code and the documents that are made from code
	$(TOOLS)/buf generate
	go test -count=1 -run '^TestPageTellsEvery' ./core/dockerapi -update
	go run ./bin/vic-machine generate reference >docs/vic-machine-reference.md
	go run ./bin/vic-machine generate openapi >docs/vic-machine-openapi.json

.PHONY: check-gen
check-gen: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc
	@contrib/dev/check-gen.sh
	@contrib/dev/check-proto.sh

# The developers' tools are built once for each change of their pins.
$(TOOLS)/buf: PKG := github.com/bufbuild/buf/cmd/buf
$(TOOLS)/protoc-gen-go: PKG := google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-grpc: PKG := google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(TOOLS)/gotestsum: PKG := gotest.tools/gotestsum
$(TOOLS)/golangci-lint: PKG := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/gotestsum $(TOOLS)/golangci-lint: contrib/tools/go.mod
	@mkdir -p $(TOOLS)
	@echo "building $(notdir $@) (once)"
	@cd contrib/tools && GOFLAGS= go build -trimpath -ldflags '-s -w' -o ../../$@ $(PKG)
	@touch $@

# What the stories drive beside the docker CLI.
$(TOOLS)/docker-compose: contrib/tools/compose/go.mod
	@mkdir -p $(TOOLS)
	@echo "building docker compose (once)"
	@cd contrib/tools/compose && GOFLAGS= go build -trimpath -ldflags '-s -w -X github.com/docker/compose/v5/internal.Version=v5.6.0' -o ../../../$@ github.com/docker/compose/v5/cmd
	@touch $@

$(TOOLS)/buildkitd: contrib/tools/buildx/go.mod
	@mkdir -p $(TOOLS)
	@echo "building docker buildx and BuildKit (once)"
	@cd contrib/tools/buildx && GOFLAGS= go build -trimpath -ldflags '-s -w' -o ../../../$(TOOLS)/ \
		github.com/docker/buildx/cmd/buildx github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl
	@touch $@

.PHONY: $(TOOLS)/govc
$(TOOLS)/govc: # the tests' administrator; the same modules as the product's
	@mkdir -p $(TOOLS)
	@go build -trimpath -o $@ ./tests/govc
