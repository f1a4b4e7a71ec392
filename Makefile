# One line a task: `make help`. A fresh machine needs Python 3.11 to 3.13 and make; the rest comes from the lock files.

# The first that fits; `make PYTHON=/path/to/python3.12` names another one.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(FITS)' 2>/dev/null && { echo "$$python"; break; }; done)
DIR ?= portability-data
BIN := .venv/bin
ROOT_APT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
APT_GET_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends
NODE := tests/interop/node
PYTEST := $(BIN)/pytest -n 2 --dist worksteal
SEEDS ?= 20
SEED ?= 0
STACK ?= servers
POINTS ?= 100

.PHONY: help demo run test test-long chaos kills bench bench-long check docs lock programs clean
.DELETE_ON_ERROR:

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: .venv/run.stamp ## the whole job with made-up data, in ./portability-data or DIR=...
	$(BIN)/portability demo --dir $(DIR)

run: .venv/run.stamp ## the processes of the Procfile, on the servers that PORTABILITY_* or .env name
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start release
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start worker clock

test: .venv/dev.stamp programs $(NODE)/node_modules/.package-lock.json ## all tests, on real servers that the tests start themselves
	$(PYTEST) -m "not long"

test-long: .venv/dev.stamp programs $(NODE)/node_modules/.package-lock.json ## those of gigabytes and minutes too; 11 GB of disk
	$(PYTEST)

chaos: .venv/dev.stamp programs ## kills, outages, slow and lost answers at seeded moments: SEEDS=20 SEED=0 STACK=servers|embedded
	PYTHONPATH=tests $(BIN)/python -m chaos.run --stack $(STACK) --seeds $(SEEDS) --seed $(SEED)

kills: .venv/dev.stamp programs ## kill -9 at POINTS=100 places of an export of 200 MB, one export each
	PYTHONPATH=tests $(BIN)/python -m chaos.kills --points $(POINTS)

bench: .venv/dev.stamp programs ## figures against plain tools, one line of JSON each; FIGURES="slices ..." or all
	PYTHONPATH=.:tests $(BIN)/python -m bench $(FIGURES)

bench-long: .venv/dev.stamp programs ## the same with more data and more runs
	PYTHONPATH=.:tests $(BIN)/python -m bench --long $(FIGURES)

check: .venv/dev.stamp ## style, types and the arrows between packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/import-linter

docs: .venv/dev.stamp ## write anew what is made of the code: docs/cli.md, docs/register.json, docs/requirements.md
	$(BIN)/python tests/cli_reference.py
	$(BIN)/python tests/requirement_list.py
	$(BIN)/portability plugins --register --public --json > docs/register.json

# An existing lock keeps its versions unless UPGRADE says otherwise: make lock UPGRADE=--upgrade
COMPILE := $(BIN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --extra embedded
lock: .venv/dev.stamp ## lock the dependencies of pyproject.toml anew, with hashes
	$(COMPILE) -o requirements/run.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra dev -o requirements/dev.txt pyproject.toml requirements/build.in

# Servers and judges of the tests, as program:package. As root on Debian what is missing is installed; APT=no leaves the
# machine as it is. Elsewhere servers come from PyPI, and a missing judge is a skip that names itself.
PROGRAMS := valkey-server:valkey-server age:age curl:curl unzip:unzip zip:zip 7z:7zip bsdtar:libarchive-tools java:default-jdk-headless \
	node:nodejs npm:npm chromium:chromium
programs:
	@[ "$(APT)" != no ] && $(ROOT_APT) || exit 0; \
	missing=""; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	for pair in $(PROGRAMS); do command -v "$${pair%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
	[ -z "$$missing" ] || apt-get update -q; \
	for package in $$missing; do $(APT_GET_INSTALL) "$$package" || echo "$$package: not to be had here"; done

# Without npm nothing is made, and the tests say so.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json | programs
	@! command -v npm >/dev/null || npm ci --prefix $(NODE) --loglevel=error --no-audit --no-fund --ignore-scripts && touch $@ 2>/dev/null || \
		echo "judges for Node: not to be had here"

clean: ## remove the environment, caches and builds; data folders stay
	rm -rf .venv .cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made of: a second run installs nothing.
.venv/run.stamp: requirements/run.txt pyproject.toml | $(BIN)/python
	$(call INSTALL,requirements/run.txt)
	@touch $@

.venv/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(call INSTALL,requirements/dev.txt)
	@touch .venv/run.stamp $@  # the one lock holds all of the other

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c '$(FITS)' || { \
		echo "error: needs Python 3.11 to 3.13, found $$("$(or $(PYTHON),python3)" --version 2>&1); name one: make PYTHON=/path/to/python3.12"; \
		exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { $(ROOT_APT) && apt-get update -q && $(APT_GET_INSTALL) python3-venv; } || { \
		echo "error: $(PYTHON) cannot make environments; on Debian: sudo apt-get install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv .venv
