# Two commands do all their own set-up: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test bench format clean

help: ## Show these commands.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.demo-ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "benchgate needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing benchgate and its demo into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --group dev
	@touch $@

demo: $(VENV)/.demo-ready ## A whole benchmark in conversation, on SQLite and PostgreSQL (ARGS=--yes answers for you).
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.test-ready ## Format, lint, types, import rules and all tests.
	@tests/browser.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest $(ARGS)

bench: $(VENV)/.test-ready ## The measured figures, side by side with their peers.
	@$(BIN)/python -m benchmarks $(ARGS)

format: $(VENV)/.test-ready ## Format the code and mend what the linter can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove what the other commands made.
	rm -rf $(VENV) .demo .pytest_cache .ruff_cache .coverage
