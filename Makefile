# What people and CI call. Everything that is made stands in ignored folders: .venv, .venv-lowest, .venv-demo, .engine.
# PYTHON=… chooses the interpreter of the virtualenv: 3.11 or later, as constraints.txt needs (users: 3.10).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOWEST := .venv-lowest
DEMO := .venv-demo
# The lowest Pulumi SDK that is supported: the lower bound in pyproject.toml.
LOWEST_PULUMI := $(shell sed -n 's/^ *"pulumi>=\([0-9.]*\),.*/\1/p' pyproject.toml)
PYTEST_ARGS ?=
# Tests on the real engine wait as much as they compute: two for each core keep it busy.
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
WORKERS ?= $(shell expr 2 '*' $(CORES))
# What tests import is compiled once, and not by each worker and each run of the CLI.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help venv venv-lowest engine demo lint check quick test test-long docs pictures page-pictures shown reliability tables messages bench chaos audit constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

venv: $(STAMP) ## make the virtualenv .venv with the package and all that its development needs

# stdout stays clean everywhere below `engine`: its last line is the path of the binary
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=…")'
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); } >&2
	@echo "installing the package and its tools into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' -c constraints.txt >&2
	@touch $@

venv-lowest: $(LOWEST)/.installed ## make .venv-lowest: the same with the lowest supported Pulumi SDK

$(LOWEST)/.installed: pyproject.toml constraints.txt
	@test -x $(LOWEST)/bin/python || { echo "making $(LOWEST)"; $(PYTHON) -m venv $(LOWEST); } >&2
	@echo "installing the package with pulumi $(LOWEST_PULUMI) into $(LOWEST)" >&2
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
		-e '.[emulator]' pytest pytest-timeout pytest-xdist hypothesis 'pulumi==$(LOWEST_PULUMI)' >&2
	@touch $@

engine: venv ## get the Pulumi engine if need be; the last line on stdout is the path of `pulumi`
	@$(BIN)/python tools/engine/get.py

demo: $(DEMO)/.installed ## attach, change and detach nodes of an emulated cluster with a real `pulumi up`
	@$(DEMO)/bin/python tools/demo.py

# the engine is built while pip runs; the official installer, where it is needed, comes with what pip brings
$(DEMO)/.installed: pyproject.toml
	@test -x $(DEMO)/bin/python || { echo "making the virtualenv $(DEMO)"; $(PYTHON) -m venv $(DEMO); } >&2
	@echo "installing the package, the Pulumi SDK and the emulator's packages into $(DEMO); meanwhile the engine" >&2
	@$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[emulator]' >&2 & \
	pip=$$!; $(DEMO)/bin/python tools/engine/get.py --before-pip >/dev/null; \
	echo "waiting for pip" >&2; wait $$pip
	@touch $@

lint: venv ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

check: venv ## the same, and the quick unit tests
	@$(MAKE) --no-print-directory -j2 lint quick

quick: venv
	$(BIN)/python -m pytest -q -n $(CORES) --dist load tests/unit \
		-m 'not slow and not long' $(PYTEST_ARGS)

SEAM = $(LOWEST)/bin/python -m pytest -q -n $(WORKERS) tests/engine -m 'seam and not long' $(PYTEST_ARGS)
SPREAD = $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test: venv venv-lowest engine ## every promise, on the real engine too; the seam also with the lowest Pulumi SDK
	@echo '== the seam, with pulumi $(LOWEST_PULUMI)'
	$(SEAM)
	@echo '== the tests, with the newest pulumi'
	$(SPREAD) -m 'not long'

test-long: venv venv-lowest engine ## the same with all histories and shown runs, before a release
	@echo '== the seam, with pulumi $(LOWEST_PULUMI)'
	$(SEAM)
	@echo '== all tests, with the newest pulumi'
	EHPC_HISTORIES=300 $(SPREAD) -m 'not alone'
	@echo '== those that take long, one after another'
	$(BIN)/python -m pytest -m alone $(PYTEST_ARGS)

docs: venv ## build the documentation's site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

pictures: venv engine ## draw the pictures of README and docs anew; the terminal's from a real run
	@$(BIN)/python tools/pictures/draw.py
	@$(BIN)/python tools/pictures/terminal.py

page-pictures: venv ## take the pictures of the emulator's page in docs/ anew, with the system's Chromium
	@$(BIN)/python tools/pictures/emulator_page.py

shown: venv engine ## write what the docs show of runs anew, by running them
	@SHOWN=write $(BIN)/python -m pytest -q tests/docs/test_shown.py tests/cli/test_page.py

reliability: venv ## write the table of docs/reliability.md anew, by running every cell of it
	@PYTHONPATH=tests $(BIN)/python -m unit.matrix

tables: venv ## write the tables of docs/how-it-works.md anew, from the code
	@$(BIN)/python tools/tables.py

chaos: venv engine ## random histories for MINUTES (10), in process and on the real CLI, and their figures
	@$(BIN)/python tools/chaos.py $(or $(MINUTES),10)

messages: venv ## write the texts of docs/messages.md again, from the code
	@$(BIN)/python tools/messages.py

audit: venv ## look the installed dependencies up in the advisory database (needs the internet)
	@$(BIN)/python -m pip_audit --strict --skip-editable

bench: venv ## write the table of benchmarks/README.md anew, by measuring each row: a quarter of an hour
	@PYTHONPATH=tests $(BIN)/python -m benchmarks

constraints: ## write constraints.txt anew: the newest versions of everything, from a fresh environment
	@tools/constraints.sh $(PYTHON)

clean: ## take away all that make has made
	rm -rf $(VENV) $(LOWEST) $(DEMO) .engine .demo dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis Pulumi.demo.yaml
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
