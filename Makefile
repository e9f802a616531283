# The commands of this project; `make` alone lists them.
PYTHON ?= $(or $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; \
	done),python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
# an aborted setup, or a stamp that names another folder: .venv is made anew
BROKEN := $(wildcard $(VENV)/.unfinished)$(shell [ ! -s $(READY) ] || [ "$$(cat $(READY))" = "$$(pwd -P)" ] || echo moved)

# else each of the many processes of the tests would compile all that it imports
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help broken setup dev browser demo test check lint quick test-postgres test-aws soak soak-short bench bench-quick build deploy restore undeploy clean
SEEDS ?= 3
SOAK ?= long

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with what the job needs, a Java too if the system has none

dev: $(READY_DEV) ## add what tests, lint, bench and deployment need; their targets do it by themselves

browser: ## install Chromium, in which the tests look at the page, unless it is here; `make dev` does it too
	@"$(PYTHON)" install.py browser

demo: setup ## start everything, load the ten files of stocks/, show the tables, end; KEEP=1: leave it running
	@$(BIN)/stocketl demo $(if $(KEEP),--keep)

ifdef T
test: dev ## the tests (about 12 minutes on two cores; some start Spark and PostgreSQL); T=ticks: those of one package
	@$(BIN)/python -m pytest tests/$(T) -n 2 --dist loadfile
else
test: quick
	@$(BIN)/python -m pytest -m spark -n 2 --dist loadfile
endif

check: lint ## lint, types and the tests that start no server (under three minutes)
	@$(BIN)/python -m pytest -m "not spark and not server" -n 3 --dist loadfile -q

lint: dev ## ruff, mypy, the floors of the imports, shellcheck
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(BIN)/shellcheck --severity=style deploy/bootstrap.sh .ci/run

quick: dev ## the tests that start no Spark (four minutes)
	@$(BIN)/python -m pytest -m "not spark" -n 3 --dist loadfile -q

test-postgres: dev ## the SQL on another PostgreSQL: make test-postgres POSTGRES_BIN=/usr/lib/postgresql/15/bin
	@POSTGRES_BIN=$(POSTGRES_BIN) $(BIN)/python -m pytest -m "not spark" tests/database tests/ledger tests/publish \
		tests/commands/test_verify.py tests/commands/test_status.py

test-aws: dev ## the whole system on a local AWS while parts of it are killed; SEEDS=10 for ten random orders
	@SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/soak/test_aws_system.py --log-level=INFO --log-cli-level=INFO

soak: dev ## kills at each point, random faults, torn checkpoints, a local AWS, thousands of batches (hours)
	@SOAK=$(SOAK) $(BIN)/python -m pytest tests/soak --log-level=INFO --log-cli-level=INFO $(ARGS)

soak-short: dev ## the short form of the same, without YARN, two files at a time (three quarters of an hour with SEEDS=1)
	@SOAK=short SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/soak --ignore=tests/soak/test_yarn.py -n 2 --dist loadfile
	@SOAK=short $(BIN)/python -m pytest -m thorough -n 2 --dist loadfile

bench: dev ## measure beside Pathway and polars + COPY, print the table with its targets (under 45 minutes)
	@$(BIN)/python -m bench $(ARGS)

bench-quick: dev ## the same for drips into an empty history and bulk 2 M (under 8 minutes)
	@$(BIN)/python -m bench --quick $(ARGS)

build: dev ## make the artifact of this version, build/stocketl/<version>/
	@$(BIN)/python -m deploy.build

deploy: dev ## build, upload, deploy to AWS and wait for the first heartbeat (deploy/README.md)
	@$(BIN)/python -m deploy.deploy $(ARGS)

restore: dev ## load all files of the stack again, in their order (deploy/README.md, "Restore")
	@$(BIN)/python -m deploy.restore $(ARGS)

undeploy: dev ## remove the stack; asks before it deletes data
	@$(BIN)/python -m deploy.undeploy $(ARGS)

clean: ## remove caches, build products and the demo's home (not .venv, stocketl-home, bench-home)
	@if [ -x $(BIN)/stocketl ] && [ -d demo-home ]; then $(BIN)/stocketl database --home demo-home --stop; fi
	rm -rf demo-home build dist *.egg-info spark-warehouse metastore_db derby.log
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt $(if $(BROKEN),broken)
	$(call install)

$(READY_DEV): $(READY)
	$(call install,dev)

define install
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "expected Python 3.11 or newer, got '$(PYTHON)': $$("$(PYTHON)" --version 2>&1). Install one, or say which one:"; \
	echo "make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
@"$(PYTHON)" install.py $(1)
endef
