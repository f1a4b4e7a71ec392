# One line a task: `make help`. A fresh machine needs Python 3.11 to 3.13 and make; the rest comes from the lock files.

# The first that fits; `make PYTHON=/path/to/python3.12` names another one.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(FITS)' 2>/dev/null && { echo "$$python"; break; }; done)
DIR ?= portability-data
SBOM ?= build/sbom.json
BIN := .venv/bin
ROOT_APT := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null
APT_GET_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends
NODE := tests/interop/node
VCON := .cache/judges/vcon
LIVE := .cache/live-systems
# A file stays in one process, which starts its servers once; tests/conftest.py puts the short files last. More than half of
# the time a process waits for servers and browsers that it has started: three keep two cores busy.
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder
# A machine may forbid compiled modules; then each process that a test starts compiles the project again.
unexport PYTHONDONTWRITEBYTECODE
SEEDS ?= 20
SEED ?= 0
STACK ?= servers
POINTS ?= 100
SAMPLE ?= 300
PICTURES ?= build/pictures
FIRST ?= 0

.PHONY: help demo run test judges test-fast test-systems pictures chaos kills mutants bench bench-long simulate check docs site locale lock sbom programs clean
.DELETE_ON_ERROR:

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: .venv/run.stamp ## the whole job with made-up data, in ./portability-data or DIR=...
	$(BIN)/portability demo --dir $(DIR)

run: .venv/run.stamp ## the processes of the Procfile (web, worker, clock), on the servers that PORTABILITY_* or .env name
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start release
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/honcho start web worker clock

test: .venv/dev.stamp programs judges ## all but those of gigabytes, on real servers that the tests start
	$(PYTEST) -m "not system"

test-fast: .venv/dev.stamp ## in a minute, without servers: the quick unit tests, and those of the house and of the documentation
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --hypothesis-profile=fast -m "not system and not slow" -q tests/unit tests/test_*.py

test-systems: PROGRAMS += $(SYSTEM_PROGRAMS)
test-systems: .venv/dev.stamp programs judges $(LIVE)/installed.stamp ## those of gigabytes and minutes, and more random examples; 11 GB of disk
	$(PYTEST) -m system
	$(PYTEST) --hypothesis-profile=system -m "not system" tests/property

# SCREENSHOTS=1 also takes those of the documentation again.
pictures: .venv/dev.stamp programs judges ## every page in each state, in PICTURES=build/pictures; FIRST=1 to 11 pictures each in another way
	mkdir -p $(PICTURES)
	PICTURES=$(abspath $(PICTURES)) FIRST=$(FIRST) $(PYTEST) -q $(if $(SCREENSHOTS),tests/e2e,tests/e2e/test_pictures.py)

chaos: .venv/dev.stamp programs ## kills, outages, slow and lost answers at seeded moments: SEEDS=20 SEED=0 STACK=servers|embedded|cluster
	PYTHONPATH=tests:tests/support $(BIN)/python -m chaos.run --stack $(STACK) --seeds $(SEEDS) --seed $(SEED)

kills: .venv/dev.stamp programs ## kill -9 at POINTS=100 places of an export of 200 MB, one export each
	PYTHONPATH=tests:tests/support $(BIN)/python -m chaos.kills --points $(POINTS)

mutants: .venv/mutants.stamp ## change the rules one by one, and name the changes that no test notices: SEED=0 SAMPLE=300 ONLY=portability/law
	PYTHONPATH=tests:tests/support $(BIN)/python -m mutants.run --seed $(SEED) --sample $(SAMPLE) --only "$(ONLY)"

bench: .venv/dev.stamp programs ## figures against plain tools, one line of JSON each; FIGURES="slices ..." or all
	PYTHONPATH=.:tests:tests/support $(BIN)/python -m bench $(FIGURES)

simulate: .venv/dev.stamp ## a year of a million requests in a minute, under the rules of claims and deadlines; no servers
	PYTHONPATH=.:tests:tests/support $(BIN)/python -m bench simulate

bench-long: .venv/dev.stamp programs ## the same with more data and more runs
	PYTHONPATH=.:tests:tests/support $(BIN)/python -m bench --long $(FIGURES)

check: .venv/dev.stamp ## style, types and the arrows between packages
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir .cache/import-linter

docs: .venv/dev.stamp ## write anew what is made of the code: docs/architecture.md, cli.md, man/, requirements.md, importing-columns.md, register.json
	$(BIN)/python tests/support/architecture.py
	$(BIN)/python tests/support/cli_reference.py
	$(BIN)/python tests/support/man_page.py
	$(BIN)/python tests/support/requirement_list.py
	PYTHONPATH=.:tests/support $(BIN)/python tests/support/import_columns.py
	$(BIN)/portability plugins --register --public --json > docs/register.json

site: .venv/dev.stamp ## the documentation as a website with search, in ./site
	PYTHONPATH=tests:tests/support $(BIN)/python tests/support/site_pages.py
	$(BIN)/zensical build --clean --strict

locale: .venv/dev.stamp ## bring the translations of all languages in step with their sources; LANGUAGE=fr begins a new one
	$(BIN)/python tests/support/catalogues.py $(LANGUAGE)

# An existing lock keeps its versions unless UPGRADE says otherwise: make lock UPGRADE=--upgrade
COMPILE := $(BIN)/uv pip compile $(UPGRADE) --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header
lock: .venv/dev.stamp ## lock the dependencies of pyproject.toml anew, with hashes
	$(COMPILE) -o requirements/run.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra embedded -o requirements/embedded.txt pyproject.toml requirements/build.in
	$(COMPILE) --extra embedded --extra otlp --extra pkcs11 --extra parquet --extra dev --extra docs -o requirements/dev.txt \
		pyproject.toml requirements/build.in
	$(COMPILE) -c requirements/dev.txt -o requirements/uv.txt requirements/uv.in
	$(COMPILE) --extra mutants -c requirements/dev.txt -o requirements/mutants.txt pyproject.toml
	$(COMPILE) --extra sbom -c requirements/dev.txt -o requirements/sbom.txt pyproject.toml
	$(COMPILE) --python-version 3.12 -o requirements/vcon.txt requirements/vcon.in
	$(COMPILE) -o requirements/live-systems.txt requirements/live-systems.in

# Servers and judges of the tests, as program:package. As root on Debian what is missing is installed; APT=no leaves the
# machine as it is. Elsewhere servers come from PyPI, and a missing judge is a skip that names itself. No service is started:
# invoke-rc.d asks the policy, which containers of Debian have already. Without it nginx would listen on port 80.
POLICY := /usr/sbin/policy-rc.d
PROGRAMS := valkey-server:valkey-server mariadb-install-db:mariadb-server pgbouncer:pgbouncer nginx:nginx age:age curl:curl promtool:promtool softhsm2-util:softhsm2 kustomize:kustomize unzip:unzip qpdf:qpdf pdftotext:poppler-utils zip:zip 7z:7zip bsdtar:libarchive-tools java:default-jdk-headless \
	node:nodejs npm:npm chromium:chromium chromium-headless-shell:chromium-headless-shell
# For test-systems alone: what makes and runs container images, 500 MB, a clock that runs faster, and a help desk.
RT := /usr/sbin/rt-setup-database-5
SYSTEM_PROGRAMS := faketime:faketime buildah:buildah mmdebstrap:mmdebstrap crun:crun /usr/lib/podman/netavark:netavark \
	/usr/lib/podman/aardvark-dns:aardvark-dns dockerd:docker.io docker:docker-cli docker-compose:docker-compose /usr/libexec/docker/cli-plugins/docker-buildx:docker-buildx $(RT):request-tracker5 $(RT):rt5-standalone $(RT):libdbd-sqlite3-perl
programs:
	@[ "$(APT)" != no ] && $(ROOT_APT) || exit 0; \
	missing=""; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$$missing postgresql"; \
	for pair in $(PROGRAMS); do command -v "$${pair%:*}" >/dev/null || missing="$$missing $${pair#*:}"; done; \
	[ -n "$$missing" ] || exit 0; \
	[ -e $(POLICY) ] || { trap 'rm -f $(POLICY)' EXIT && printf '#!/bin/sh\nexit 101\n' > $(POLICY) && chmod +x $(POLICY); }; \
	apt-get update -q; \
	for package in $$missing; do $(APT_GET_INSTALL) "$$package" || echo "$$package: not to be had here"; done

judges: $(NODE)/node_modules/.package-lock.json $(VCON)/judge.stamp ## libraries that judge archives in the tests, beside the Python environment

# Without npm, or without Python 3.12, nothing is made, and the tests say so.
$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json | programs
	@! command -v npm >/dev/null || npm ci --prefix $(NODE) --loglevel=error --no-audit --no-fund --ignore-scripts && touch $@ 2>/dev/null || \
		echo "judges for Node: not to be had here"
$(VCON)/judge.stamp: requirements/vcon.txt | .venv/dev.stamp
	@$(BIN)/uv venv --quiet --clear --python '>=3.12' --no-python-downloads $(VCON) && \
		VIRTUAL_ENV=$(VCON) $(BIN)/uv pip install --quiet --require-hashes -r requirements/vcon.txt && touch $@ || \
		echo "the library vcon: not to be had here"

# Systems whose data tests of test-systems export, in an environment of their own.
$(LIVE)/installed.stamp: requirements/live-systems.txt | .venv/dev.stamp
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LIVE) && \
		VIRTUAL_ENV=$(LIVE) $(BIN)/uv pip install --quiet --require-hashes -r requirements/live-systems.txt && touch $@ || \
		echo "Synapse and Radicale: not to be had here"

sbom: .venv/dev.stamp ## the bill of materials of what runs (CycloneDX), from the lock, in ./build/sbom.json or SBOM=...
	mkdir -p $(dir $(SBOM))
	$(BIN)/uv run --quiet --isolated --no-project --with-requirements requirements/sbom.txt cyclonedx-py requirements \
		--pyproject pyproject.toml --mc-type application --output-reproducible --sv 1.6 -o $(SBOM) requirements/run.txt

clean: ## remove the environment, caches and builds; data folders stay
	rm -rf .venv .cache build dist site *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than what it was made of: a second run installs nothing.
.venv/run.stamp: requirements/embedded.txt pyproject.toml | $(BIN)/python
	$(call INSTALL,$(PIP_INSTALL) --require-hashes -r requirements/embedded.txt)
	@touch $@

# uv takes a third of the time of pip. It reads no pip.conf: where only a mirror of that has the packages, pip installs them.
.venv/dev.stamp: requirements/dev.txt requirements/uv.txt pyproject.toml | $(BIN)/python
	$(PIP_INSTALL) --require-hashes -r requirements/uv.txt
	$(call INSTALL,{ $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt || \
		$(PIP_INSTALL) --require-hashes -r requirements/dev.txt; })
	@touch .venv/run.stamp $@  # the one lock holds all of the other

.venv/mutants.stamp: requirements/mutants.txt .venv/dev.stamp
	$(PIP_INSTALL) --require-hashes -r requirements/mutants.txt
	@touch $@

# Until November 2026 the distribution was named `portability`: installed twice, its plug-ins would be ambiguous.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL = $(BIN)/python -m pip uninstall -qq --yes portability && $(1) && $(PIP_INSTALL) --no-deps --no-build-isolation -e .

$(BIN)/python:
	@[ -n "$(PYTHON)" ] && "$(PYTHON)" -c '$(FITS)' || { \
		echo "error: needs Python 3.11 to 3.13, found $$("$(or $(PYTHON),python3)" --version 2>&1); name one: make PYTHON=/path/to/python3.12"; \
		exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { $(ROOT_APT) && apt-get update -q && $(APT_GET_INSTALL) python3-venv; } || { \
		echo "error: $(PYTHON) cannot make environments; on Debian: sudo apt-get install python3-venv"; exit 1; }
	"$(PYTHON)" -m venv .venv
