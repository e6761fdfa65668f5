# The whole developer interface. `make demo` and `make test` need Python 3.11+ and make, nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

# The first interpreter that runs and is new enough; say `make PYTHON=/path/to/python` to choose another.
works = $(shell command -v $(1) >/dev/null 2>&1 && $(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(1))
PYTHON ?= $(firstword $(foreach p,python3.11 python3 python3.13 python3.12 python3.14 python,$(call works,$(p))))
# A 3.13 beside it, where there is one: on PATH, or one that pyenv keeps.
PYTHON313 ?= $(firstword $(foreach p,python3.13 $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13),$(call works,$(p))))

VENV := .venv
PORT ?= 8000
SERVE ?= yes
NAME ?= all
# Only the requirement files decide what is installed; a sentinel beside the environment remembers what was.
PIP = $(1)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes

.PHONY: help demo test check suite test-313 lint docs bench backtest soak pins clean

help:
	@echo "make demo         the demonstration city: page, coverage table, alert (SERVE=no stops after the table)"
	@echo "make test         lint, types, import contracts and the whole suite on SQLite and PostgreSQL"
	@echo "make lint         ruff, mypy --strict, import-linter"
	@echo "make bench        benchmarks beside a named peer in the same run (NAME=ledger for one)"
	@echo "make backtest     how well forecasts held on real demand, as kept in docs/forecast-quality.md"
	@echo "make soak         kills the server under load, 100 times on each database (SOAK_KILLS, SOAK_SECONDS, SOAK_SEED)"
	@echo "make docs         pages of docs/ that are made from the code"
	@echo "make pins         renew requirements/*.txt from pyproject.toml"
	@echo "make clean        remove environments and caches (never var/, where databases live)"

define environment
@test -n "$(2)" || { echo "Python 3.11 or newer is needed: install it, or run make PYTHON=/path/to/python" >&2; exit 1; }
@test -x $(1)/bin/python || { echo "making $(1) with $(2)"; $(2) -m venv $(1); }
@echo "installing $(3) into $(1) (once)"
@$(call PIP,$(1)) -r requirements/$(3).txt
@$(1)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --no-build-isolation --editable .
@touch $@
endef

$(VENV)/.run: requirements/run.txt pyproject.toml
	$(call environment,$(VENV),$(PYTHON),run)

$(VENV)/.test: requirements/test.txt pyproject.toml
	$(call environment,$(VENV),$(PYTHON),test)
	@touch $(VENV)/.run

.venv-3.13/.test: requirements/test.txt pyproject.toml
	$(call environment,.venv-3.13,$(PYTHON313),test)

demo: $(VENV)/.run
	@$(VENV)/bin/reserve demo --port $(PORT) $(if $(filter no,$(SERVE)),--no-serve)

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

suite: $(VENV)/.test
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal

# The second interpreter leaves the browser, PostgreSQL and what takes long whatever the interpreter to the first.
test-313:
ifneq ($(PYTHON313),)
	@$(MAKE) --no-print-directory .venv-3.13/.test
	.venv-3.13/bin/python -m pytest -n 2 --dist worksteal -m "not browser and not long" -k "not postgresql"
else
	@echo "no Python 3.13 here: its run of the suite is left out"
endif

test: lint suite test-313

docs: $(VENV)/.test
	$(VENV)/bin/python -m tests.make_docs

bench: $(VENV)/.test
	$(VENV)/bin/python -m bench $(NAME)

backtest: $(VENV)/.test
	$(VENV)/bin/python -m bench.backtest

soak: $(VENV)/.test
	cd tests && PYTHONPATH=.. ../$(VENV)/bin/python -m soak

pins: $(VENV)/.test
	$(VENV)/bin/python -m pip --disable-pip-version-check --quiet install uv
	cd requirements && for f in run test; do ../$(VENV)/bin/uv pip compile ../pyproject.toml --group ../pyproject.toml:build \
	  $$(test $$f = test && echo --group ../pyproject.toml:test) --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --quiet --output-file $$f.txt; done

clean:
	rm -rf .venv .venv-3.13 .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info dist
