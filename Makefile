# Two commands do all their own set-up: `make demo` and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
FRESH := .venv-constraints
ARGS ?=
# What begins last decides when all are done: tests/conftest.py puts what takes longest first.
BESIDE := --dist loadfile --no-loadscope-reorder
# To measure what is covered doubles what a test computes, so only those are measured that have to
# cover the measured packages alone.
MEASURED := tests/unit/domain \
	$(filter-out %/test_foreign_text.py,$(wildcard tests/unit/gate/test_*.py))
# These compute; most of the others wait more than they compute, so more of them run at a time.
COVER := $(MEASURED) --numprocesses 3 $(BESIDE) --cov --cov-report=term-missing:skip-covered
OTHERS := tests $(addprefix --ignore=,$(MEASURED)) --numprocesses 6 $(BESIDE)

# The first Python that is new enough; PYTHON=/path/to/python names another.
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$candidate && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# What is built for the installation is pinned as well as what is installed.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
# The tests start a thousand processes of Python, which need not compile the same modules each.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test browser types cover bench bench-faults format docs constraints clean

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

$(VENV)/.test-ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing benchgate and what its tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --no-compile --editable '.[demo]' --group dev
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true # pip would compile on one core only
	@touch $(VENV)/.demo-ready $@

demo: $(VENV)/.demo-ready ## Compare SQLite with PostgreSQL in conversation (ARGS=--yes answers for you).
	@$(BIN)/python -m demo $(ARGS)

test: ## Format, lint, types, import rules and all tests.
	@$(MAKE) --no-print-directory --jobs 2 browser $(VENV)/.test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
ifdef ARGS
	$(BIN)/pyright
	$(BIN)/pytest $(ARGS)
else
	@$(MAKE) --no-print-directory --jobs 2 types cover
	$(BIN)/pytest $(OTHERS)
endif

browser:
	@tests/browser.sh

types: $(VENV)/.test-ready
	$(BIN)/pyright

cover: $(VENV)/.test-ready
	$(BIN)/pytest $(COVER)

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
