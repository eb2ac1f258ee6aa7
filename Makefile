# firstlight: everything a developer or a new user calls. Needs Python 3.11 or newer with its venv module, and make; nothing else.
#
#   make demo        install, then watch a live reconstruction in the browser     make demo ARGS="--rate 20"
#   make install     make .venv and install firstlight with the web UI            (quick when nothing has changed)
#   make test        install what the tests need, then run the normal suite       make test ARGS="-k fbp"
#   make test-all    the same, then the tests marked heavy or slow
#   make soak        the tests that run for many minutes
#   make check       formatting, lint, types, layers, and the web UI's own checks
#   make format      put the sources in the house format
#   make coverage    the normal suite with coverage: 100 % demanded of core/
#   make reference   write docs/reference/ anew from the registry
#   make docs        build the documentation into site/, warnings are errors
#   make bench       benchmarks beside their peers; PEERS=folder of the peers' environments
#   make lock        lock the versions anew (UPGRADE=1: take the newest)
#   make clean       remove what was built; .venv too with `make distclean`

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PEERS ?= .peers
ARGS ?=

BIN := $(VENV)/bin
PY := $(BIN)/python
STAMPS := $(VENV)/stamps
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
WEB := $(shell find web -name node_modules -prune -o -type f -print 2>/dev/null)
NORMAL := not heavy and not slow and not soak
SLOW := slow and not heavy and not soak and not alone
HEAVY := (heavy or (slow and alone)) and not soak

.PHONY: help install dev demo test test-all soak check check-style check-types check-layers check-reference check-web format coverage reference docs bench lock clean distclean

help:
	@sed -n '/^#/!q;s/^# \{0,1\}//p' Makefile

# ---- installing: each stamp is younger than all it was made from, so that a second call does nothing ------------------

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "firstlight needs Python 3.11 or newer, '$(PYTHON)' is $$($(PYTHON) --version). Call make PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed. On Debian: apt-get install python3-venv"; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/requirements: requirements/install.txt | $(STAMPS)/venv
	@echo "installing the locked requirements into $(VENV) ..."
	@$(PIP) --require-hashes -r requirements/install.txt
	@touch $@

$(STAMPS)/package: pyproject.toml README.md hatch_build.py $(WEB) $(STAMPS)/requirements
	@echo "installing firstlight into $(VENV), web UI included ..."
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/package
	@echo "installing what tests and checks need ..."
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

install: $(STAMPS)/package

dev: $(STAMPS)/dev

# ---- running ----------------------------------------------------------------------------------------------------------

demo: install
	@$(BIN)/firstlight demo $(ARGS)

# Tests marked `alone` measure time or drive a browser: they run one after the other, when nothing else runs.
test: dev
	$(PY) -m pytest -n $(JOBS) -m "$(NORMAL) and not alone" $(ARGS)
	$(PY) -m pytest --saying alone,browser -m "$(NORMAL) and alone" $(ARGS) || [ $$? -eq 5 ]

# Heavy tests may need much memory: one at a time, too.
test-all: test
	$(PY) -m pytest --saying slow -n $(JOBS) -m "$(SLOW)" --timeout 900 $(ARGS) || [ $$? -eq 5 ]
	$(PY) -m pytest --saying heavy,alone,browser -m "$(HEAVY)" --timeout 900 $(ARGS) || [ $$? -eq 5 ]

soak: dev
	$(PY) -m pytest -m soak --timeout 0 $(ARGS)

# `make -k check` goes on after the first part that fails.
check: check-style check-types check-layers check-reference check-web

check-style: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: dev
	$(BIN)/pyright --pythonpath $(PY)

check-layers: dev
	$(BIN)/lint-imports

check-reference: dev
	$(PY) tools/reference.py --check

check-web: dev
	$(PY) hatch_build.py run check

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: dev
	rm -f .coverage .coverage.*
	$(PY) -m coverage run -m pytest -p no:xdist -m "$(NORMAL)" $(ARGS)
	$(PY) -m coverage combine --quiet
	$(PY) -m coverage report --sort=cover
	$(PY) -m coverage report --include='*/firstlight/core/*' --fail-under=100 --show-missing --skip-covered

reference: dev
	$(PY) tools/reference.py

docs: dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the documentation is in site/index.html (its search needs a server: $(PY) -m http.server -d site -b 127.0.0.1)"

bench: dev
	$(PY) tools/bench.py --peers $(PEERS) $(ARGS)

# ---- keeping house ----------------------------------------------------------------------------------------------------

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
       $(if $(UPGRADE),--upgrade)

# uv comes with the locked dev requirements; install.txt is held to what dev.txt chose.
lock: | $(STAMPS)/venv
	@test -x $(BIN)/uv || $(PIP) uv
	$(LOCK) --extra dev pyproject.toml requirements/build.in -o requirements/dev.txt
	$(LOCK) --extra epics --extra zmq pyproject.toml requirements/build.in -c requirements/dev.txt -o requirements/install.txt
	@! grep -nE '://' requirements/*.txt

clean:
	rm -rf build dist site htmlcov .coverage .coverage.* .cache .pytest_cache .ruff_cache .import_linter_cache \
	  src/firstlight/faces/rest/static web/node_modules $(STAMPS)/package
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
