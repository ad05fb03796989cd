# The menu of this repository: `make` prints it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-quick test-large lint format bench docs lock login clean

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Two workers even where there are more processors: each starts the rigs that its tests ask for.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadgroup

help:  ## this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## a .venv with the locked dependencies; quick when it is there
	@.ci/setup

demo: setup  ## build an image of this repository twice, and run it
	@$(BIN)/python -m demo

test: setup  ## everything except the large counts: unit, property and rig tests
	$(PYTEST) $(PARALLEL) -m "not large" $(ARGS)

test-quick: setup  ## the tests that need no rig
	$(PYTEST) $(PARALLEL) -m "not rig and not slow and not large" $(ARGS)

test-large: setup  ## the large counts; takes long
	$(PYTEST) $(PARALLEL) -m large $(ARGS)

lint: setup  ## ruff, and mypy in strict mode over code and tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup  ## let ruff put imports and lines in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## treeship and its peers side by side; ratios printed
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup  ## make the generated pages again: docs/settings.md and docs/cli.md
	$(BIN)/python -m buildkit.config.page > docs/settings.md
	$(BIN)/python -m ci.page > docs/cli.md

lock: setup  ## resolve the dependencies again, within pyproject.toml's bounds
	$(BIN)/uv lock --upgrade --default-index https://pypi.org/simple

login:  ## for CI: put $$REGISTRY_AUTH, the text of a docker config.json, where treeship looks for it
	@umask 077 && mkdir -p "$$HOME/.docker" && printf '%s' "$$REGISTRY_AUTH" > "$$HOME/.docker/config.json"

clean:  ## remove what the other targets made here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .treeship build dist benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
