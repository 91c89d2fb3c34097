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

# Five for two processors: many tests wait for processes and venues of their own.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(max(2, 5 * (os.cpu_count() or 1) // 2))")
TORTURE := $(BIN)/python tests/crash/torture.py
CAMPAIGN_ARGS ?=
TORTURE_CCXT := $(TORTURE) --venue binanceusdm

.PHONY: help run test exhaustive torture torture-ccxt campaign day check lint format style types floors seams docs \
	environment bench pins clean
.DEFAULT_GOAL := help

help:
	@echo "make run     a paper session on packaged data, in about a minute; the first one installs, too"
	@echo "make test    the test suite, sealed off from the network"
	@echo "make exhaustive  its long part: seeds by the thousand, processes by the hundred"
	@echo "make check   format, lint, types, floors, seams, then the tests"
	@echo "make torture kill sessions everywhere, once and twice, and at random, with ccxt too (long)"
	@echo "make campaign 2000 sessions through ccxt under every fault of the exchange (CAMPAIGN_ARGS)"
	@echo "make day     a recorded day of perpetuals at a virtual exchange, truth against journal and ledger"
	@echo "make docs    the generated pages of docs/reference, made anew"
	@echo "make bench   our replay beside its peers, on this machine"
	@echo "make pins    choose the versions in requirements/ anew"
	@echo "make clean   remove environments and caches (runs/ stays)"

run: $(VENV)/.core
	$(BIN)/tidegate init --dir $(SESSION) --force
	$(BIN)/tidegate trade -c $(SESSION)/tidegate.toml --new --abandon-orders

# Every processor is used; the tests of a file stay together, for they share what is slow to make.
# The files begin in the order of tests/conftest.py, which has the long ones first.
# Bytecode is written whatever the caller's shell says: each worker, and each process that a test
# starts, would compile everything anew.
PYTEST := $(SEALED) $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test exhaustive: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.peers
	$(PYTEST) -m "not exhaustive" $(PYTEST_ARGS)

# Seeds by the thousand and whole processes by the hundred: a command of its own, and part of CI.
exhaustive: $(VENV)/.peers
	$(PYTEST) -m exhaustive $(PYTEST_ARGS)

# Prints its counts and its seed; what fails, with the options that show it again.
torture: $(VENV)/.test
	$(TORTURE)
	$(TORTURE) --short --twice
	$(TORTURE) --short --beside
	$(TORTURE) --short --kill
	$(TORTURE) --short --stop
	$(TORTURE) --random 334
	$(TORTURE) --ablations
	$(MAKE) torture-ccxt

# The same with the real ccxt client in the session's process, and TLS to the virtual binanceusdm.
torture-ccxt: $(VENV)/.test
	$(TORTURE_CCXT)
	$(TORTURE_CCXT) --short --twice
	$(TORTURE_CCXT) --short --beside
	$(TORTURE_CCXT) --short --kill
	$(TORTURE_CCXT) --short --stop
	$(TORTURE_CCXT) --random 100
	$(TORTURE_CCXT) --ablations

# Prints its counts and its seed; what fails, with the options that show it again.
campaign: $(VENV)/.test
	$(BIN)/python tests/campaign/campaign.py $(CAMPAIGN_ARGS)

# Needs the recorded bars beside the checkout; exit code 1 where one digit differs.
day: $(VENV)/.test
	$(BIN)/python tests/exchange_binance/real_day.py

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
	$(PIP) install -c requirements/test.txt -e '.[alpaca,ccxt,dev,yfinance]'
	@touch $@ $(VENV)/.core

$(VENV)/.peers: $(VENV)/.test requirements/peers.txt
	$(PIP) install -c requirements/peers.txt -e '.[bench,peers]'
	@touch $@
