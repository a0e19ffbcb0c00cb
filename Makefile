# Everything a developer does, one line each: plain `make` lists it. Needs python3.11+ (with venv and pip) and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup
UV_VERSION := 0.13.8

UI := src/noria/ui/static/index.html
BROWSER := tests/ui/node_modules/.package-lock.json
PEERS := .make/peers/.locked
PROMETHEUS := .make/prometheus/.there
ALERTMANAGER := .make/alertmanager/.there
WEB_SOURCES := $(wildcard web/*.json web/*.ts web/index.html) $(shell find web/src web/public -type f 2>/dev/null)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all test-oldest check format bench web web-dev api lock clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.noria $(UI) ## make .venv from the lock, build the pages, install noria into it

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Noria needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.locked: requirements.lock | $(VENV)/.python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r requirements.lock
	@touch $@

$(UI): $(WEB_SOURCES) | $(VENV)/.locked
	$(BIN)/python hatch_build.py ui && touch $@

$(VENV)/.noria: $(VENV)/.locked pyproject.toml hatch_build.py | $(UI)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-build-isolation --no-deps -e .
	@touch $@

$(BROWSER): tests/ui/package-lock.json | $(VENV)/.locked
	$(BIN)/python hatch_build.py install tests/ui

# Real servers and clients of other programs that the tests talk to: PostgreSQL, an S3 server, MLflow's client.
$(PEERS): requirements-peers.lock | $(VENV)/.python
	@test -x .make/peers/bin/python || $(PYTHON) -m venv .make/peers
	.make/peers/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps -r requirements-peers.lock
	@touch $@

# The real Prometheus scrapes a worker in a test. It is no Python package, so Debian's is unpacked here: that needs no root and changes nothing outside.
# Where there is no apt-get, or it cannot fetch, the tests that want it are skipped and say so: a test run must not fail for a program of the system.
$(PROMETHEUS):
	@mkdir -p .make/prometheus
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then touch $@; \
	elif command -v apt-get >/dev/null && cd .make/prometheus && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb .; then \
		rm -f prometheus_*.deb && touch .there; \
	else echo "no Prometheus here: the tests that scrape with it are skipped"; fi

# Debian's Alertmanager looks for its templates where only root can put them: the copy is made to look in its own folder, by a path of the same length.
TEMPLATES := /usr/share/prometheus/alertmanager
$(ALERTMANAGER):
	@mkdir -p .make/alertmanager
	@if command -v alertmanager >/dev/null || command -v prometheus-alertmanager >/dev/null; then touch $@; \
	elif command -v apt-get >/dev/null && cd .make/alertmanager && apt-get download -qq prometheus-alertmanager 2>/dev/null && dpkg -x prometheus-alertmanager_*.deb .; then \
		LC_ALL=C sed -i 's#$(TEMPLATES)#./././././././././././././././././#g' usr/bin/prometheus-alertmanager && rm -f *.deb && touch .there; \
	else echo "no Alertmanager here: the test that talks to it is skipped"; fi

demo: setup ## the whole loop on a year of real flights, then the UI
	$(BIN)/noria demo

test: setup $(BROWSER) $(PEERS) $(PROMETHEUS) $(ALERTMANAGER) ## every test but the slow ones, in a real browser too
	$(PYTEST) -m "not slow"

test-all: setup $(BROWSER) $(PEERS) $(PROMETHEUS) $(ALERTMANAGER) ## every test
	$(PYTEST)

# An old library may use what a newer one beside it has deprecated, and LightGBM 4.6 forgets that it knew no names: that is told, and no fault of Noria's.
OLD_AND_NEW := -W default::DeprecationWarning -W default::FutureWarning -W "default:X does not have valid feature names:UserWarning"

test-oldest: $(PEERS) $(PROMETHEUS) $(ALERTMANAGER) ## the tests on the oldest supported dependencies, in their own environment
	$(PYTHON) -m venv .make/oldest
	.make/oldest/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-oldest.lock
	.make/oldest/bin/python -m pip install --quiet --no-build-isolation --no-deps -e .
	.make/oldest/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow and not ui" $(OLD_AND_NEW)

check: setup ## format, lint, types, import contracts, sizes, types of the pages
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python .ci/shape.py
	$(BIN)/python hatch_build.py npm web run --silent typecheck
	$(BIN)/python hatch_build.py npm web run --silent api:check

format: setup ## let ruff write the format and its safe fixes
	$(BIN)/ruff check -q --fix-only .
	$(BIN)/ruff format -q .

bench: setup ## every benchmark; results go to benchmarks/results
	@mkdir -p benchmarks/results
	@for script in benchmarks/*.py; do name=$$(basename $$script .py); echo "== $$name"; \
		$(BIN)/python $$script > benchmarks/results/$$name.json.part && mv benchmarks/results/$$name.json.part benchmarks/results/$$name.json || exit 1; done

web: $(VENV)/.locked ## rebuild the pages, types checked
	$(BIN)/python hatch_build.py npm web run --silent typecheck
	$(BIN)/python hatch_build.py ui --force

web-dev: $(VENV)/.locked ## serve the pages with live reload, against a running `noria up`
	$(BIN)/python hatch_build.py npm web run dev

api: $(VENV)/.locked ## types of the REST API for the pages: web/openapi.json -> web/src/api/schema.d.ts
	$(BIN)/python hatch_build.py npm web run --silent api

RESOLVE := .make/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
LOCK := $(RESOLVE) --extra demo --extra dev pyproject.toml
lock: ## resolve anew: requirements.lock (newest), requirements-oldest.lock (lower bounds), requirements-peers.lock
	@test -x .make/uv/bin/uv || { $(PYTHON) -m venv .make/uv && .make/uv/bin/pip install --quiet uv==$(UV_VERSION); }
	$(LOCK) --output-file requirements.lock
	$(LOCK) --resolution lowest-direct --output-file requirements-oldest.lock
	$(RESOLVE) --no-config requirements-peers.in --output-file requirements-peers.lock
	@! grep -n '://' requirements*.lock

clean: ## remove everything that was built or installed
	rm -rf $(VENV) .make src/noria/ui/static web/node_modules tests/ui/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
