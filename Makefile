# evq: `make help` lists what there is to make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := $(VENV)/.peers

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench fuzz chaos slow docs constraints clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(INSTALLED) ## Create .venv and install everything, the compiled core included

# Installed anew only when something that it depends on has changed, so that a second run needs no network.
$(INSTALLED): pyproject.toml setup.py constraints.txt $(wildcard evq_ext/*.pxd evq_ext/*.h evq_ext/*/*.p[yx]*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "evq needs Python 3.11 or newer; choose one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing evq and what it needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt setuptools cython
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@$(BIN)/python -c 'import evq_ext' # says it loudly if there is no compiled core
	@touch $@

# What the benchmarks compare with: nothing else needs it.
$(PEERS): $(INSTALLED)
	@echo "installing what evq is measured beside into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[bench]'
	@touch $@

demo: setup ## Import a sample of 2,000 participants, live, and show the page
	@$(BIN)/evq demo

test: setup ## Run all tests but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

check: setup ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(PEERS) ## Measure evq beside what people use today, which is installed for it, and keep the figures
	$(BIN)/python -m benchmarks --json figures-$$(date +%F).json

fuzz: setup ## Let a fuzzer look for what breaks the compiled core, under sanitizers  [SECONDS=60]
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60)

chaos: setup ## Break everything: each fault by name, then all at random  [SEED=n]
	$(BIN)/python -m pytest -q -s tests/chaos -m "not slow" --deselect tests/chaos/test_storm.py
	$(BIN)/python -m pytest -q -s -m slow tests/chaos tests/server tests/integration/test_topologies.py

slow: setup ## Plant bugs for the model to find, and measure at a million jobs  [SEED=n]
	$(BIN)/python -m pytest -q -s -m slow --ignore tests/chaos --ignore tests/server

docs: setup ## Run every example in the documents
	$(BIN)/python -m pytest tests/docs

constraints: $(PEERS) ## Pin what is installed now
	@{ head -1 constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip=' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove what was built and installed; data folders stay
	rm -rf $(VENV) .bench build dist *.egg-info evq_ext/*/*.so evq_ext/*/*.c
