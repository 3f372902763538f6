# Everything runs from .venv; a target that is up to date does nothing again.
PYTHON ?= python3
BIN := .venv/bin
PRACTICES := $(wildcard src/civium/practices/*/register.toml)
CONSOLE := $(shell find console -path '*/node_modules' -prune -o -type f -print)
PROJECT := pyproject.toml hatch_build.py $(PRACTICES) $(CONSOLE)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
SMOKE ?=
ROUNDS ?= 13
SEED ?= 1

# Each test starts processes of its own: none of them shall compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test faults lint format bench docs check lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/setup.stamp  ## make .venv with everything that the sandbox, the tests and the docs need

demo: .venv/demo.stamp  ## bring up the centre of Helsinki: http://127.0.0.1:8765
	$(BIN)/civium demo

test: setup  ## run the tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

faults: setup  ## round after round of a load with faults in it, as root (ROUNDS=100 SEED=7)
	$(BIN)/python -m tests.faults.run --rounds $(ROUNDS) --seed $(SEED)

lint: setup  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup  ## let ruff order the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: setup  ## the contracts of every practice, the layers, docs against code
	$(BIN)/civium check

bench: setup  ## the platform's figures, each beside its baseline (SMOKE=--smoke for the smallest honest run)
	$(BIN)/python benchmarks/run.py $(SMOKE)

docs: setup  ## build the documentation into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lock: setup  ## resolve requirements/*.txt afresh from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra sandbox --extra cluster --extra plants --extra transit --extra v2x --extra traces --group dev $(LOCK) -o requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml --extra sandbox -c requirements/dev.txt $(LOCK) -o requirements/demo.txt

LOCK := --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links

clean:  ## remove what the targets made, .venv too
	rm -rf .venv site console/node_modules src/civium/web/console_built .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/setup.stamp: requirements/dev.txt $(PROJECT) | .venv/bin/python
	$(PIP) --only-binary :all: --no-binary demjson3 -r requirements/dev.txt # it has no wheel; frost-sta-client needs it
	$(PIP) --no-deps --editable .
	@touch .venv/setup.stamp .venv/demo.stamp

.venv/demo.stamp: requirements/demo.txt $(PROJECT) | .venv/bin/python
	$(PIP) --only-binary :all: -r requirements/demo.txt
	$(PIP) --no-deps --editable .
	@touch $@
