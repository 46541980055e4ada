# Two commands do all their own set-up: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
FRESH := .venv-constraints
ARGS ?=
# Most tests wait more than they compute, so more of them run beside each other than there are cores.
BESIDE := --numprocesses 4 --dist loadfile --no-loadscope-reorder
# To measure what is covered takes as long as the tests, and the unit tests have to cover it alone.
MEASURED := tests/unit $(BESIDE) --cov --cov-report=term-missing:skip-covered
OTHERS := tests --ignore tests/unit $(BESIDE)

# The first Python that is new enough; PYTHON=/path/to/python names another.
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$candidate && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# What is built for the installation is pinned as well as what is installed.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test bench bench-faults format docs constraints clean

help: ## Show these commands.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "benchgate needs Python 3.11 or newer: install it, or set PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The virtual environment could not be made (on Debian and Ubuntu: apt install python3-venv)." >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.demo-ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing benchgate and its demo into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.test-ready: $(VENV)/.demo-ready
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.demo-ready ## Compare SQLite with PostgreSQL in conversation (ARGS=--yes answers for you).
	@$(BIN)/python -m demo $(ARGS)

test: $(VENV)/.test-ready ## Format, lint, types, import rules and all tests.
	@tests/browser.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(BIN)/pytest $(MEASURED)
	$(BIN)/pytest $(OTHERS)
endif

$(VENV)/.bench-ready: $(VENV)/.test-ready
	@echo "Installing what the measurements compare with ..."
	@$(BIN)/python -m pip install --quiet --group bench
	@touch $@

bench: $(VENV)/.bench-ready ## The measured figures, side by side with their peers.
	@$(BIN)/python -m benchmarks $(ARGS)

bench-faults: $(VENV)/.test-ready ## Kill servers 100 times in the middle of comparisons, and count what went wrong.
	@$(BIN)/python -m benchmarks.faults $(ARGS)

format: $(VENV)/.test-ready ## Format the code and mend what the linter can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.test-ready ## Draw the generated parts of the documents anew.
	@$(BIN)/python -m docs.sections

constraints: export PIP_CONSTRAINT :=
constraints: export PIP_BUILD_CONSTRAINT :=
constraints: ## Pin the newest versions of everything that demo and test install.
	@rm -rf $(FRESH) && $(PYTHON) -m venv $(FRESH)
	@$(FRESH)/bin/python -m pip install --quiet --upgrade pip hatchling editables
	@$(FRESH)/bin/python -m pip install --quiet --editable '.[demo]'
	@$(FRESH)/bin/python -m pip install --quiet --group dev --group bench
	@$(FRESH)/bin/python -m pip freeze --all --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' > constraints.txt
	@rm -rf $(FRESH)

clean: ## Remove what the other commands made.
	rm -rf $(VENV) .demo .pytest_cache .ruff_cache .coverage .hypothesis .import_linter_cache
