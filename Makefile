# Every target with a `##` describes itself in `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.requirements

# ---- the voyage -------------------------------------------------------------------------------

up: $(ENVIRONMENT) ## From real data to an answered recommendation on a local Kubernetes
	$(BIN)/tonnage up

down: $(ENVIRONMENT) ## Take the local Kubernetes away, leaving nothing behind
	$(BIN)/tonnage down

serve: $(ENVIRONMENT) ## The same three bentos without a cluster
	$(BIN)/tonnage serve

# ---- checks -----------------------------------------------------------------------------------

test: check packages ## Everything that must hold: check, then every tier of tests, the cluster included
	$(BIN)/pytest

check: $(ENVIRONMENT) ## Format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: $(ENVIRONMENT) ## The tiers that need no cluster
	$(BIN)/pytest -m "unit or contract or model"

measure-voyage: $(ENVIRONMENT) ## Measure every promise of the first voyage; fails on a miss
	$(BIN)/python loadtests/voyage.py

measure-serving: $(ENVIRONMENT) ## Measure embedding serving: speed beside its peers, memory, overload; fails on a miss
	$(BIN)/python loadtests/serving.py

measure-canary: $(ENVIRONMENT) ## Measure canaries: chance, stickiness, rollouts under load, bad releases; fails on a miss
	$(BIN)/python loadtests/canary.py

measure-load: $(ENVIRONMENT) ## Measure load: the gate on good and bad releases, load lines, predictions; fails on a miss
	$(BIN)/python loadtests/load.py

# ---- upkeep -----------------------------------------------------------------------------------

env: $(ENVIRONMENT) ## The Python environment, exactly as locked

$(ENVIRONMENT): requirements/dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "$$(grep -o '^uv==[0-9.]*' requirements/dev.txt)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

packages: $(ENVIRONMENT) ## The Debian packages that the cluster, the images and the tests need
	$(BIN)/tonnage cluster packages

format: $(ENVIRONMENT) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet

lock: $(ENVIRONMENT) ## Lock the dependencies again, with hashes and without index addresses
	for extra in retriever ranker recommender loadtest pipeline dev; do \
		$(BIN)/$(LOCK) --extra $$extra --output-file requirements/$$extra.txt; \
	done

clean: ## Remove what was built here; caches outside the checkout stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

.PHONY: up down serve test check quick measure-voyage measure-serving measure-canary measure-load env packages format lock clean help
