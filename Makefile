# One word each. Every target sets up what it needs: Python 3.11 or newer, pip and make are enough.
#
#   make demo     the whole job against stand-ins of the model sites, offline
#   make test     every quick test
#   make lint     ruff and mypy
#   make format   what ruff can mend by itself
#   make wheels   the packages built, looked into, and each installed alone
#   make docs     the documentation as a site, in build/site; a link that leads nowhere is an error
#   make bench    what is measured, measured
#   make soak     the tests that take minutes
#   make setup    the environment alone, in .venv; make version says which Python it has
#   make clean    everything that these leave behind
#
# PYTHON=python3.12 make test   chooses the interpreter; VENV=.venv312 keeps another environment beside the first.

VENV ?= .venv
PACKAGES := $(wildcard pyproject.toml plugins/*/pyproject.toml meta/pyproject.toml examples/*/pyproject.toml)

# Windows keeps the interpreter elsewhere, and calls it otherwise.
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
RUN := $(BIN)/python

PYTEST ?= -n auto --dist loadfile
BENCHMARKS := $(sort $(wildcard benchmarks/[a-z]*.py))

.DEFAULT_GOAL := help
.PHONY: help setup version demo test lint format wheels docs bench soak clean

help:
	@sed -n 's/^#   make/make/p' Makefile

setup: $(VENV)/.ready

version: setup
	@$(RUN) -c "import sys; print('%d.%d' % sys.version_info[:2])"

# A name on PATH proves nothing (version managers leave shims that only complain), so each is run.
# The environment is made anew where the interpreter that it was made with is gone.
$(VENV)/.ready: requirements-dev.txt $(PACKAGES)
	@set -e; \
	if ! $(RUN) -c "import sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; then \
		for python in "$(PYTHON)" python3 python3.13 python3.12 python3.11 python; do \
			if [ -n "$$python" ] && "$$python" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))" \
				>/dev/null 2>&1; then found="$$python"; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No Python 3.11 or newer with venv and pip was found; name one: PYTHON=/path/to/python make $(MAKECMDGOALS)" >&2; \
			exit 1; \
		fi; \
		echo "setting up $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV); \
	fi
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: setup
	@$(RUN) -m demo

test: setup
	$(RUN) -m pytest $(PYTEST) -m "not slow"

lint: setup
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: setup
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

wheels: setup
	$(RUN) -m pytest tests/packaging

docs: setup
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --quiet

bench: setup
	@set -e; for each in $(BENCHMARKS); do echo "== $$each"; $(RUN) $$each; done

soak: setup
	$(RUN) -m pytest -m slow --ignore=tests/packaging || [ $$? -eq 5 ]  # 5: there is none

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .pytest_cache build dist demo/__pycache__
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
