# llama-mapper: `make run` on a fresh Debian machine is all it takes.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
export PATH := $(PATH):$(shell go env GOPATH 2>/dev/null)/bin

# Debian packages (and the command that shows they are there): for building, and for training on top.
BUILD_PACKAGES := g++:c++ git:git cmake:cmake ninja-build:ninja openssl:openssl npm:npm curl:curl
TRAIN_PACKAGES := python3-torch python3-tqdm python3-numpy python3-yaml python3-sentencepiece libopenblas0-pthread wordnet-base dict-gcide dict-foldoc \
	$(foreach l,deu fra spa ita por nld,dict-freedict-$(l)-eng dict-freedict-eng-$(l)) mythes-de mythes-fr mythes-es mythes-it mythes-pt-pt
TRAIN_ENV := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
TRAIN := nice /usr/bin/python3 checkpoints/train/train.py

# Where llama/build.sh has put the library; the compiler needs its headers.
# The build of llama.cpp comes first in a recipe, so that its headers are found.
GO := dir=$$(llama/build.sh); CGO_CXXFLAGS="-O2 -I$$dir/include" go
LINT_VERSION := v2.15.0

# Starts a private PostgreSQL and Redis for a recipe's shell, and ends them with it. $(1) names their directory, $(2) is
# more options of PostgreSQL.
SERVERS = trap 'deploy/servers.sh .run/$(1) stop' EXIT; mkdir -p .run; (umask 077; PG_OPTIONS="$(2)" deploy/servers.sh .run/$(1) >.run/$(1).env); set -a; . .run/$(1).env; set +a

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: tools
tools:
	@deploy/packages.sh $(BUILD_PACKAGES)

.PHONY: llama
llama: tools ## build llama.cpp into the user's cache (once, minutes)
	@llama/build.sh

.PHONY: llama-server
llama-server: tools ## build llama-server, llama-bench and llama-batched-bench from the same source
	@llama/build.sh tools

.PHONY: build
build: tools
	@$(GO) build -tags llama -o bin/ ./cmd/mapper ./cmd/mapperctl
	@CGO_ENABLED=0 go build -o bin/ ./cmd/orchestration ./cmd/analysis

.PHONY: run
run: build ## start the services with private servers, and print requests to try; Ctrl-C stops all of it
	@deploy/run.sh

.PHONY: test
test: tools ## all tests: pure Go, then with llama.cpp and the shipped checkpoint, then the training pipeline
	@$(call SERVERS,test,-c fsync=off); set -x; CGO_ENABLED=0 go test -timeout 30m ./...; \
	$(GO) test -timeout 30m -tags llama ./llama/ ./services/mapper/ ./services/guard/ ./cmd/...
	@$(MAKE) --no-print-directory train-smoke

.PHONY: drill
drill: tools ## detectors that fail in twelve ways; kill -9 of the mapper, of PostgreSQL and of Redis under load, and of a replica in a job of a million lines; what callers notice of a job
	@$(call SERVERS,drill,-c fsync=on); CGO_ENABLED=0 go test -count 1 -timeout 20m -tags drill -v -run TestDrill ./cmd/orchestration | grep -v '"level"'
	@$(call SERVERS,drill,-c fsync=on); $(GO) test -count 1 -timeout 1h -tags llama,drill -v -run TestDrill ./cmd/mapper | grep -v '"level"'

.PHONY: test-gpu
test-gpu: tools ## a GPU backend as a plug-in, on a software device (fetches it; not part of test)
	@deploy/packages.sh libvulkan1 mesa-vulkan-drivers
	@export GGML_VK_VISIBLE_DEVICES=0 LLAMA_TEST_PLUGIN=$$(llama/vulkan.sh .run/vulkan); $(GO) test -count 1 -tags llama -run TestPlugin ./llama

.PHONY: rules
rules: ## take the newest rules of gitleaks; then look at the diff, and run the tests
	@cd services/detect/secrets/gitleaks/generate && go get github.com/zricethezav/gitleaks/v8@latest && go mod tidy
	@go generate ./services/detect/secrets/gitleaks

.PHONY: train-smoke
train-smoke:
	@deploy/packages.sh $(TRAIN_PACKAGES)
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; $(GO) build -tags llama -o "$$out/" ./cmd/mapperctl; \
	export LLAMA_CPP_SRC=$$(llama/build.sh source) LLAMA_LIB_DIR=$$(llama/build.sh) $(TRAIN_ENV); \
	/usr/bin/python3 checkpoints/train/normalize_test.py; /usr/bin/python3 checkpoints/train/lookup_test.py; \
	$(TRAIN) --config checkpoints/train/smoke.yaml --out "$$out" --work "$$out" >"$$out/log" 2>&1 || { cat "$$out/log"; exit 1; }; \
	"$$out/mapperctl" checkpoint verify "$$out" >/dev/null; \
	for more in "--start $$out" "--full 0.0008"; do \
		$(TRAIN) --config checkpoints/train/smoke.yaml --out "$$out" --work "$$out" $$more >"$$out/log" 2>&1 || { cat "$$out/log"; exit 1; }; \
		"$$out/mapperctl" checkpoint verify "$$out" >/dev/null; done; \
	checkpoints/train/convert_test.sh "$$out" "$$out"/tokenizer-*.model "$$out/mapperctl"; \
	echo "ok  	the training pipeline, at toy size, and the way from Hugging Face's layout"

.PHONY: eval
eval: build ## measure the shipped checkpoint on its development sets; .run/eval.html and .run/eval.json have all of it
	@mkdir -p .run; bin/mapperctl checkpoint eval checkpoints/mapper-tiny --html .run/eval.html --json .run/eval.json

.PHONY: checkpoint
checkpoint: tools ## train checkpoints/mapper-tiny from nothing, or from the base in START=DIR (hours); goes on where it was stopped
	@deploy/packages.sh $(TRAIN_PACKAGES)
	@export LLAMA_CPP_SRC=$$(llama/build.sh source) LLAMA_LIB_DIR=$$(llama/build.sh) $(TRAIN_ENV); \
	$(TRAIN) --config checkpoints/train/mapper-tiny.yaml --out checkpoints/mapper-tiny --work .run/train $(if $(START),--start $(START)); \
	/usr/bin/python3 checkpoints/train/seeds.py .run/train/figures-[0-9]*.json

.PHONY: full
full: ## after checkpoint: tune all weights in place of the first seed's mapper adapter, for as many steps, and compare
	@export LLAMA_CPP_SRC=$$(llama/build.sh source) $(TRAIN_ENV); \
	$(TRAIN) --config checkpoints/train/mapper-tiny.yaml --full 0.0003 --out .run/train --work .run/train $(if $(START),--start $(START)); \
	for f in 1 full; do echo "$$f:"; /usr/bin/python3 checkpoints/train/seeds.py .run/train/figures-$$f.json; done

.PHONY: check
check: tools ## lint, vet, format, race tests, tidy, a short fuzz of every parser
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	go mod tidy -diff
	CGO_ENABLED=0 go vet ./...
	$(GO) vet -tags llama ./...
	@$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) run --build-tags llama ./...
	@$(call SERVERS,test,-c fsync=off); set -x; $(GO) test -timeout 30m -race -tags llama -short ./...
	@for target in $$(grep -rho 'func Fuzz[A-Za-z]*' --include='*_test.go' . | cut -c6- | sort -u); do \
		for dir in $$(grep -rl "func $$target(" --include='*_test.go' . | xargs -n1 dirname); do \
			CGO_ENABLED=0 go test -run '^$$' -fuzz "^$$target$$" -fuzztime 3s "$$dir" | tail -n1; done; done

.PHONY: bench
bench: build ## measure: bare decode loop, the mapper over HTTP, overload, and llama-server if it was built; ARGS="-time 2s" is shorter
	@$(call SERVERS,bench); export LLAMA_MAPPER_STATE_DIR=.run/bench/state; bin/mapperctl migrate up all >/dev/null; \
	key=$$(bin/mapperctl keys create --tenant bench); \
	$(GO) run -tags llama ./bench -key "$$key" -tools "$$(ls -d $$dir/tools/bin 2>/dev/null)" $(ARGS)

.PHONY: clean
clean: ## remove what was built here; the llama.cpp cache stays (it is under ~/.cache/llama-mapper)
	@for dir in .run .run/test .run/bench; do [ ! -f $$dir/servers ] || deploy/servers.sh $$dir stop; done
	rm -rf bin .run
