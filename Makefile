# `make train` and `make test` do everything on a machine with Python 3.10 or newer and nothing else.
#   make train CONFIG=dizoo/smac/config/smac_3m_qmix_config.py SEED=1 ARGS="--env-step 200000"
CONFIG ?= dizoo/smac/config/smac_MMM_qmix_config.py
SEED ?= 0
ARGS ?=
PYTHON ?= python3
VENV ?= .venv
# Extras of the tests' environment; CI adds wandb.
EXTRAS ?= all

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
SAY_WHERE := echo "installed. For the command dimix: source $(BIN)/activate, or type $(BIN)/dimix"
INPUTS := setup.py pyproject.toml constraints.txt

.PHONY: train test test-arithmetic lint docs docs-serve clean

train: $(VENV)/.installed
	$(BIN)/dimix -m serial -c $(CONFIG) $(addprefix -s ,$(SEED)) $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# The suite as other processors would compute it, and training tests with many seeds: an hour; --quick: minutes.
test-arithmetic: $(VENV)/.installed-dev
	$(BIN)/python -m tests.arithmetic $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# The site, in build/site; a broken link fails.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m dimix.config.page > docs/config.md
	$(MKDOCS) build --strict

docs-serve: $(VENV)/.installed-dev
	$(MKDOCS) serve

clean:
	rm -rf $(VENV) build dist ./*.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed; found " + sys.version.split()[0]) if sys.version_info < (3, 10) else 0'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(INPUTS) | $(BIN)/python
	@echo "installing dimix and its needs into $(VENV) (once; torch is large)"
	$(PIP) -c constraints.txt -e '.[curves,plot,replay]'
	@touch $@
	@$(SAY_WHERE)

$(VENV)/.installed-dev: $(INPUTS) | $(BIN)/python
	@echo "installing dimix with the tools of its tests into $(VENV) (once; torch is large)"
	$(PIP) -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@ $(VENV)/.installed
	@$(SAY_WHERE)
