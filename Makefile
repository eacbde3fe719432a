# Run `make` to see what there is. Everything that is built goes to build/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Docker's packages have no go.mod of their own: without this, Go would compile them as Go 1.16 and
# change the meaning of their loops. Nothing of the product needs cgo.
#
# With -trimpath the folder of the checkout is no part of what is compiled: builds and tests, and all clones
# on a machine, share what Go's cache has.
export GOFLAGS := -trimpath -gcflags=github.com/docker/docker/...=-lang=go1.24
export CGO_ENABLED := 0
export PATH := $(CURDIR)/build/bin:$(PATH):/usr/sbin:/sbin

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN := build/bin
TOOLS := build/tools
CACHED := contrib/dev/cached.sh
# The images as they were built; build/registry, which the lab of make up serves, has them and what was pushed there.
IMAGES := build/cache/registry
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PROGRAMS := vicd vic vic-machine vic-lab vic-hub tether

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
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/ $(PROGRAMS:%=./bin/%)
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-driver-vsphere ./drivers/vsphere
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-auth-local ./plugins/auth-local
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-auth-vsphere ./plugins/auth-vsphere
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-auth-oidc ./plugins/auth-oidc
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-auth-ldap ./plugins/auth-ldap
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-replicate-oci ./plugins/replicate-oci
	go build -ldflags '$(LDFLAGS)' -o $(BIN)/vic-scan-harbor ./plugins/scan-harbor
	go build -C plugins/scan-osv -ldflags '$(LDFLAGS)' -o $(CURDIR)/$(BIN)/vic-scan-osv .

.PHONY: iso
iso: build ## build the ISO images that VMs boot, into build/iso (PLUGINS=folder: with your plugins, see sdk/README.md)
	@mkdir -p $(TOOLS)
	@go build -o $(TOOLS)/boot ./contrib/boot
	@$(CACHED) -i contrib/debian -i contrib/boot/main.go -o build/cache/kernel -- $(TOOLS)/boot -fetch
	@$(TOOLS)/boot -version $(VERSION) -plugins '$(PLUGINS)'

.PHONY: images
images: $(TOOLS)/buildkitd ## build the test images from Debian packages, into build/registry
	@mkdir -p $(TOOLS) build/registry
	@go build -o $(TOOLS)/images ./contrib/images
	@$(CACHED) -i contrib/images -i contrib/tools/buildx -o $(IMAGES) -- bash -c \
		'$(SUDO) $(TOOLS)/images -root $(IMAGES) && $(SUDO) chown -R "$$(id -u):$$(id -g)" $(IMAGES)'
	@cp -alf $(IMAGES)/. build/registry/

# vic-machine and vic run where administrators sit; all else runs in the endpoint VM.
DIST_PLATFORMS := linux/amd64 linux/arm64 windows/amd64 darwin/amd64 darwin/arm64

.PHONY: dist
dist: iso ## build vic-machine and vic for Linux, Windows and macOS, boot images, the hub with container image and OVA into build/dist, with checksums
	@contrib/dev/dist.sh '$(LDFLAGS)' $(DIST_PLATFORMS)

.PHONY: up
up: deps build iso images ## start the lab and a hub, make the VCH vch1 and run a container in it
	@contrib/dev/up.sh

.PHONY: hub
hub: deps build ## start a hub, the registry, on this machine (port 8443; make hub-down stops it)
	@contrib/dev/hub.sh up

.PHONY: hub-down
hub-down:
	@contrib/dev/hub.sh down

.PHONY: down
down: hub-down ## stop the lab and the hub; `make up` brings the same VCH, containers and images back
	@if [ -x $(BIN)/vic-lab ]; then $(BIN)/vic-lab down; fi

.PHONY: clean
clean: down ## stop the lab and remove build/ and the lab's names in /etc/hosts
	@contrib/dev/clean.sh

.PHONY: test
test: ## run all tests: unit tests, and the stories on a lab of their own
	@contrib/dev/test.sh all

.PHONY: unit
unit: $(TOOLS)/gotestsum ## run the unit tests alone
	@contrib/dev/test.sh unit

.PHONY: e2e-tools
e2e-tools: $(TOOLS)/gotestsum $(TOOLS)/govc $(TOOLS)/docker-compose

.PHONY: e2e
e2e: deps-tests build iso images e2e-tools ## run the stories alone (RUN=TestName for one)
	@contrib/dev/test.sh e2e

.PHONY: conformance
conformance: deps-tests ## run OCI's conformance tests against the hub's registry, on each database
	go test -count=1 -v -run "^TestConformance" ./core/registry ./core/hub/dockerauth

.PHONY: soak
soak: deps-tests build iso images e2e-tools ## run the soaks and storms, which make test skips: hours
	@contrib/dev/test.sh soak

.PHONY: fuzz
fuzz: ## run each fuzz target for a minute (FUZZTIME=10s for less); the unit tests run their seeds
	@contrib/dev/fuzz.sh

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
	go vet ./... && go vet -C plugins/scan-osv ./...
	for os in windows darwin; do GOOS=$$os go build -o /dev/null ./bin/vic && GOOS=$$os go build -o /dev/null ./bin/vic-machine || exit 1; done # where administrators sit
	$(TOOLS)/golangci-lint run ./...
	cd plugins/scan-osv && $(CURDIR)/$(TOOLS)/golangci-lint run ./...

.PHONY: fmt
fmt: ## format the Go code
	@gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: gen
gen: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## generate the protocol code and the documents that are made from code
	$(TOOLS)/buf generate
	go test -count=1 -run '^TestPageTellsEvery' ./core/dockerapi ./core/hub/role ./core/hub/api -update
	go run ./bin/vic-machine generate reference >docs/vic-machine-reference.md
	go run ./bin/vic-machine generate openapi >docs/vic-machine-openapi.json
	@contrib/dev/portal.sh

.PHONY: check-gen
check-gen: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc
	@contrib/dev/check-gen.sh
	@contrib/dev/check-proto.sh

# The developers' tools are built once for each change of their pins (contrib/dev/cached.sh).
$(TOOLS)/buf: PKG := github.com/bufbuild/buf/cmd/buf
$(TOOLS)/protoc-gen-go: PKG := google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-grpc: PKG := google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(TOOLS)/gotestsum: PKG := gotest.tools/gotestsum
$(TOOLS)/golangci-lint: PKG := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
.PHONY: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/gotestsum $(TOOLS)/golangci-lint
$(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/gotestsum $(TOOLS)/golangci-lint:
	@$(CACHED) -i contrib/tools/go.mod -i contrib/tools/go.sum -o $@ -- env GOFLAGS= go -C contrib/tools build -trimpath -ldflags '-s -w' -o ../../$@ $(PKG)

# What the stories drive beside the docker CLI.
.PHONY: $(TOOLS)/docker-compose $(TOOLS)/buildkitd
$(TOOLS)/docker-compose:
	@$(CACHED) -i contrib/tools/compose -o $@ -- env GOFLAGS= go -C contrib/tools/compose build -trimpath \
		-ldflags '-s -w -X github.com/docker/compose/v5/internal.Version=v5.6.0' -o ../../../$@ github.com/docker/compose/v5/cmd

$(TOOLS)/buildkitd:
	@$(CACHED) -i contrib/tools/buildx -o $@ -o $(TOOLS)/buildx -o $(TOOLS)/buildctl -- env GOFLAGS= go -C contrib/tools/buildx build -trimpath \
		-ldflags '-s -w' -o ../../../$(TOOLS)/ github.com/docker/buildx/cmd/buildx github.com/moby/buildkit/cmd/buildkitd github.com/moby/buildkit/cmd/buildctl

.PHONY: $(TOOLS)/govc
$(TOOLS)/govc: # the tests' administrator; the same modules as the product's
	@mkdir -p $(TOOLS)
	@go build -o $@ ./tests/govc
