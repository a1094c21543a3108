# Everything is set up inside the checkout, in .venv, from a lock file with hashes. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
FITS := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'
export DAGSTER_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo up test bench docs validation backtest lint format lock clean

help: ## what can be done here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## a simulated campus delivers 12 weeks, the whole graph runs over it, and the result is compared with the truth
	@$(BIN)/engage demo

up: setup ## the same with the Dagster UI, its daemon and the campus left running until Ctrl-C
	@$(BIN)/engage up

test: setup-dev ## the whole test suite
	@$(BIN)/pytest -n 2

bench: setup $(BENCH)/installed ## a night and a term against SQL by hand, dlt, pandas and DuckDB; SIZE=full: 20 million events
	@$(BIN)/python -m benchmarks --size $(or $(SIZE),small) $(if $(PUBLISH),--publish)

docs: setup ## docs/marts.md, and in .engage/docs the site of all models, from their descriptions
	@$(BIN)/python -m engage.marts_page

validation: setup ## in docs/validation.md the scores of OULAD beside how its students ended
	@$(BIN)/engage replay oulad tests/data/oulad
	@$(BIN)/python -m campus.validation .engage/oulad tests/data/oulad docs/validation.md

backtest: setup ## in docs/validation.md a year of bad feeds: every silence that was raised, held or missed
	@$(BIN)/python -m campus.backtest --page docs/validation.md

lint: setup-dev ## style, types, SQL, YAML, import directions, and the Dagster definitions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/sqlfluff lint --disable-progress-bar dbt_project
	@$(BIN)/yamllint --strict .
	@$(BIN)/dagster definitions validate -w workspace.yaml

format: setup-dev ## let the tools tidy up
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix --disable-progress-bar dbt_project

setup: $(VENV)/installed ## the virtual environment that users need
setup-dev: $(VENV)/installed-dev ## the same with test and lint tools

# .venv is made anew if its own Python does not fit. uv installs the same file in a fraction of pip's time, which compiles
# by itself.
define install
	@$(BIN)/python $(FITS) 2>/dev/null || $(PYTHON) $(FITS) || \
		{ echo "engage needs Python 3.11 to 3.13, and $(PYTHON) is not: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python $(FITS) 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@if command -v uv >/dev/null 2>&1; then \
		VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --compile-bytecode --require-hashes -r $(1) && \
		VIRTUAL_ENV=$(CURDIR)/$(VENV) uv pip install --quiet --no-deps --no-build-isolation --editable . ; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable . ; \
	fi
	@touch $@
endef

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) from requirements.lock ..."
	$(call install,requirements.lock)

$(VENV)/installed-dev: requirements-dev.lock pyproject.toml
	@echo "Setting up $(VENV) from requirements-dev.lock ..."
	$(call install,requirements-dev.lock)

# What is only measured beside us lives in an environment of its own.
$(BENCH)/installed: requirements-bench.lock
	@echo "Setting up $(BENCH) from requirements-bench.lock ..."
	@$(BIN)/python -m venv --clear $(BENCH)
	@if command -v uv >/dev/null 2>&1; then \
		VIRTUAL_ENV=$(CURDIR)/$(BENCH) uv pip install --quiet --require-hashes -r requirements-bench.lock ; \
	else \
		$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock ; \
	fi
	@touch $@

lock: ## resolve the dependencies anew (needs uv); no file names a registry
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-header pyproject.toml --group build --group dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-header pyproject.toml --group build -c requirements-dev.lock -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
		--no-header --group pyproject.toml:bench -o requirements-bench.lock

clean: ## remove the environment and all state
	rm -rf $(VENV) $(BENCH) .engage
