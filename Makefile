# `make` alone lists the targets. Variables may follow: make up TRINITY_PORT=8001
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
UV ?= $(or $(shell command -v uv),$(wildcard .venv/bin/uv),uv)
LOCK := $(UV) pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header pyproject.toml
# A deployment behind TLS, as docs/operating.md describes it; nothing listens at these addresses.
DEPLOYED := TRINITY_TLS=1 TRINITY_ALLOWED_HOSTS=trinity.example \
	TRINITY_SECRET_KEY=$$(head -c 48 /dev/urandom | base64 -w 0) \
	TRINITY_ENCRYPTION_KEY=$$(head -c 48 /dev/urandom | base64 -w 0) \
	REDIS_URL=redis://127.0.0.1:6379/0

# An engine of its own directory (trinity/setup/engine.sh) is the one that everything uses.
ifdef TRINITY_ENGINE_ROOT
export DOCKER_HOST := unix://$(TRINITY_ENGINE_ROOT)/docker.sock
endif

.PHONY: help up engine engine-remove test lint types bench soak docs lock develop clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

up: ## install what is missing and run Trinity; Ctrl-C stops it, agents go on
	@trinity/setup/up.sh

engine: ## make sure of a container engine, nothing else
	@trinity/setup/engine.sh ensure

engine-remove: ## undo what was installed and started for the engine
	@trinity/setup/engine.sh remove

test: ## run all tests with everything they need; ARGS goes to pytest
	@trinity/setup/test.sh $(ARGS)

develop: ## install what developers need into .venv
	@trinity/setup/develop.sh

lint: develop ## check format, style, types, import contracts, migrations, deployment
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PY) manage.py makemigrations --check --dry-run
	@$(DEPLOYED) $(PY) manage.py check --deploy --fail-level WARNING

types: develop ## check types alone
	$(PY) -m mypy

bench: develop ## measure; prints a table
	$(PY) -m tests.bench $(ARGS)

soak: develop ## 50 agents, 20 viewers and constant changes for two minutes; says what it measured
	TRINITY_SOAK=1 $(PY) -m pytest -q -s tests/live/test_soak.py

docs: develop ## write docs/queries.md and the table of docs/access.md anew
	TRINITY_WRITE_DOCS=1 $(PY) -m pytest -q tests/web/test_queries.py tests/access/test_docs.py

lock: ## resolve the dependencies of pyproject.toml anew
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove what can be made again; the data directory stays
	rm -rf .venv .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
