# Everything starts here. Only Python 3.11+ and make are needed; what else it takes is installed
# into VENV, with the exact versions of requirements/.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet
SEALED := $(BIN)/python .ci/sealed.py
SESSION ?= runs/demo

TORTURE := $(BIN)/python tests/crash/torture.py

.PHONY: help run test torture check lint format style types floors seams docs environment bench pins clean
.DEFAULT_GOAL := help

help:
	@echo "make run     a paper session on packaged data, offline, in under a minute"
	@echo "make test    the test suite, sealed off from the network"
	@echo "make check   format, lint, types, floors, seams, then the tests"
	@echo "make torture kill sessions everywhere, and 1000 times at random (long)"
	@echo "make docs    the generated pages of docs/reference, made anew"
	@echo "make bench   our replay beside its peers, on this machine"
	@echo "make pins    choose the versions in requirements/ anew"
	@echo "make clean   remove environments and caches (runs/ stays)"

run: $(VENV)/.core
	$(BIN)/tidegate init --dir $(SESSION) --force
	$(BIN)/tidegate trade -c $(SESSION)/tidegate.toml --new

# Every processor is used; the tests of a file stay together, for they share what is slow to make.
test: $(VENV)/.peers
	$(SEALED) $(BIN)/python -m pytest --numprocesses logical --dist loadfile $(PYTEST_ARGS)

# Prints its counts and its seed; what fails, with the command that shows it again.
torture: $(VENV)/.test
	$(TORTURE)
	$(TORTURE) --random 334

environment: $(VENV)/.peers

lint: format style types floors seams

format: $(VENV)/.test
	$(BIN)/ruff format --check .

style: $(VENV)/.test
	$(BIN)/ruff check .

types: $(VENV)/.test
	$(BIN)/mypy

floors: $(VENV)/.test
	$(BIN)/lint-imports

seams: $(VENV)/.test
	$(BIN)/python .ci/seams.py

check: lint test

docs: $(VENV)/.test
	$(BIN)/python docs/generate.py

bench: $(VENV)/.peers
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

pins:
	$(PYTHON) .ci/pins.py

clean:
	rm -rf $(VENV) .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- environments: a stamp says what has been installed, and is older than what asks for more

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and \
		"Tidegate needs Python 3.11, 3.12 or 3.13; %s is %d.%d (choose with PYTHON=...)" % ("$(PYTHON)", *v))'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml requirements/core.txt
	$(PIP) install -c requirements/core.txt -e .
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml requirements/core.txt requirements/test.txt
	$(PIP) install -c requirements/test.txt -e '.[ccxt,dev]'
	@touch $@ $(VENV)/.core

$(VENV)/.peers: $(VENV)/.test requirements/peers.txt
	$(PIP) install -c requirements/peers.txt -e '.[bench,peers]'
	@touch $@
