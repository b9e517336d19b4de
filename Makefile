# One word per job. Each makes the environment it needs, with nothing but Python 3.11 or later and pip.

PYTHON ?= python3
N ?= 2
SIZE ?= 100000
DOCS ?=
VERSION ?=
ARGS ?=

# An interpreter that is named, as in `make test PYTHON=python3.12`, gets an environment of its own: .venv-3.12.
VENV := .venv$(if $(filter file,$(origin PYTHON)),,-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null))
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EVERYTHING := '.[all,testing]' --group dev
# The page of `make demo` needs seven packages, not ninety: without a full environment it gets a small one.
DEMO_VENV := $(if $(wildcard $(READY)),$(VENV),$(VENV)-demo)
# What `make check` runs: no servers, no browser, no waiting.
FAST := tests/core tests/serializers tests/sealers tests/transports
# The Python files that differ from the last commit, new ones included.
CHANGED = $(shell git diff --name-only --diff-filter=d HEAD -- '*.py'; git ls-files --others --exclude-standard -- '*.py')

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of tests start an interpreter: let each of them find the compiled modules of the one before.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv demo mixed check test test-slow test-long test-lowest test-django coverage wheel test-compiled packages browser browser-long lint format docs release changelog bench bench-quick scale mutants documents constraints clean

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

# Dependency groups (PEP 735) take pip 25.1, and Python 3.11 brings an older one.
newer_pip = @$(1) -c 'import pip, sys; sys.exit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))' || \
		$(1) -m pip install --quiet --upgrade 'pip>=25.1'

define make_venv
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or later, or say make PYTHON=/path/to/python $@" >&2; exit 1; }
	@$(PYTHON) -c '' || { echo "$(PYTHON) does not run: say make PYTHON=/path/to/python $@" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: limpet needs 3.11 or later. Say: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make environments: install its venv module (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@echo "Installing limpet and what it needs into $(@D), with pip. This takes $(2), and is done once."
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(if $(findstring --group,$(1)),$(call newer_pip,$(@D)/bin/python))
	$(@D)/bin/python -m pip install --quiet --constraint constraints.txt --editable $(1)
	@touch $@
endef

$(READY): pyproject.toml constraints.txt
	$(call make_venv,$(EVERYTHING),about two minutes)

$(VENV)-demo/.ready: pyproject.toml constraints.txt
	$(call make_venv,'.[demo]',less than a minute)

venv: $(READY)  ## the environment with everything: .venv, or .venv-3.12 with PYTHON=python3.12

demo: $(DEMO_VENV)/.ready  ## a small web application that shows what sessions do
	$(DEMO_VENV)/bin/limpet demo $(ARGS)

mixed: $(READY)  ## a Django, a Flask and a FastAPI application behind one nginx, with one session
	$(BIN)/python -m examples.mixed $(ARGS)

check: $(READY)  ## in under a minute: ruff on what changed, and the fast tests
	$(if $(CHANGED),$(BIN)/ruff check --force-exclude $(CHANGED),@echo "no Python file differs from the last commit")
	$(if $(CHANGED),$(BIN)/ruff format --check --force-exclude $(CHANGED))
	$(BIN)/python -m pytest -n $(N) -q $(FAST) $(ARGS)

test: $(READY)  ## the quick suite, on real servers that pip brings
	$(BIN)/python -m pytest -n $(N) --dist loadgroup -q $(ARGS)

test-slow: $(READY)  ## what `make test` leaves out to be quick: suites of other projects, more stores, more draws
	$(BIN)/python -m pytest -n $(N) --dist loadgroup -q -m "slow and not browser and not long" $(ARGS)

# A single test may take an hour there, unless it says itself how long.
test-long: $(READY)  ## the same with the large counts, and with the tests that run only there; takes hours
	LIMPET_LONG=1 $(BIN)/python -m pytest -n $(N) --dist loadgroup -q -m "not browser" --timeout 3600 $(ARGS)

# The oldest versions that pyproject.toml allows, in an environment of their own. What only the suite needs is as new as
# elsewhere. The tests that are run are those of limpet's own parts, not those of packages beside it.
LOWEST := $(VENV)-lowest
LOWEST_TESTS := tests/core tests/serializers tests/sealers tests/transports tests/stores tests/adapters tests/wsgi

$(LOWEST)/.ready: pyproject.toml constraints.txt scripts/lowest.py | $(READY)
	$(BIN)/python -m scripts.lowest --python $(PYTHON) $(LOWEST)
	@touch $@

test-lowest: $(LOWEST)/.ready  ## a part of the suite with the lowest version of every dependency
	$(LOWEST)/bin/python -m pytest -n $(N) --dist loadgroup -q $(if $(ARGS),$(ARGS),$(LOWEST_TESTS))

# Django 6 needs Python 3.12, and constraints.txt holds 5.2 for 3.11: PYTHON says which one is tried.
test-django: $(READY)  ## Django's own tests and ours of its adapter, whole; on Django 6 with PYTHON=python3.12
	@$(BIN)/python -c 'import django, sys; print("Django", django.__version__, "on Python %d.%d" % sys.version_info[:2])'
	$(BIN)/python -m pytest -n $(N) --dist loadgroup -q -m "not browser" \
		$(if $(ARGS),$(ARGS),tests/adapters/django tests/upstream/test_django.py)

coverage: $(READY)  ## lines and branches of the engine that its own tests run; fails below the floor; ARGS=tests for all
	$(BIN)/python -m pytest -n $(N) -q --cov --cov-report=term:skip-covered --cov-report=html \
		$(if $(ARGS),$(ARGS),$(FAST) tests/stores/test_memory.py tests/stores/test_cookie.py)

# The same source with its engine compiled: a wheel of this platform, and an environment of its own beside $(VENV), in
# which everything but limpet is the other's.
COMPILED := $(VENV)-compiled
BUILT_FROM := $(shell find src -name '*.py' -not -path '*/__pycache__/*') hatch_build.py

wheel: $(READY)  ## the compiled wheel of this platform, in dist/; takes a C compiler and Python's headers
	LIMPET_COMPILE=1 $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

$(COMPILED)/.ready: $(READY) $(BUILT_FROM)
	rm -rf $(COMPILED)
	LIMPET_COMPILE=1 $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir $(COMPILED)/wheel .
	$(BIN)/python -m venv --without-pip $(COMPILED)
	$(BIN)/python -m pip --python $(COMPILED)/bin/python install --quiet --no-deps --no-index $(COMPILED)/wheel/*.whl
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		$$($(COMPILED)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/others.pth
	$(COMPILED)/bin/python -c 'from limpet._native import build; assert build() == "compiled"'
	@touch $@

test-compiled: $(COMPILED)/.ready  ## the whole suite on the compiled build
	$(COMPILED)/bin/python -m pytest -n $(N) --dist loadgroup -q $(ARGS)

# Packages that are too large for every environment, in one of their own, which has everything else from $(VENV). The
# suite's pins are wishes here (what uv finds in its output file): what these packages do not take, they choose.
LARGE := $(VENV)-packages

$(LARGE)/.ready: $(READY)
	$(BIN)/python -m venv $(LARGE)
	cp constraints.txt $(LARGE)/pins.txt
	printf 'gradio\nmarimo\n' | $(BIN)/python -m uv pip compile --quiet --python $(LARGE)/bin/python \
		--no-header --no-annotate --output-file $(LARGE)/pins.txt -
	$(LARGE)/bin/python -m pip install --quiet --requirement $(LARGE)/pins.txt
	$(BIN)/python -c 'import sysconfig; print("src", sysconfig.get_path("purelib"), sep="\n")' | sed "s|^src$$|$(CURDIR)/src|" > \
		$$($(LARGE)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/others.pth
	@touch $@

packages: $(LARGE)/.ready  ## Gradio and marimo, which are too large for the suite, on limpet's sessions
	$(LARGE)/bin/python -m pytest -q tests/packages/test_gradio.py tests/packages/test_marimo.py $(ARGS)

browser: $(READY)  ## a real Chromium drives the demo; also what needs a caching proxy
	$(BIN)/python -m pytest -n $(N) --dist loadgroup -q -m "browser and not long" $(ARGS)

browser-long: $(READY)  ## the same for every page of the documentation: ten minutes
	$(BIN)/python -m pytest -q -m "browser and long" $(ARGS)

lint: $(READY)  ## ruff, mypy, pyright, spelling, who may import whom, private names, the tree
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m scripts.check_types
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m scripts.check_tree
	$(BIN)/python -m scripts.check_structure

release: $(READY)  ## build, check and try what would be published; ARGS="fastapi redis" tries these extras only
	$(BIN)/python -m scripts.release --python $(PYTHON) $(ARGS)

changelog: $(READY)  ## what the next release would say, from the files in changes/; VERSION=0.2.0 writes it into CHANGELOG.md
	@$(BIN)/python -m towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version Unreleased)

format: $(READY)  ## put the code into shape
	$(BIN)/ruff check --fix-only --exit-zero .
	$(BIN)/ruff format .

docs: $(READY)  ## the documentation, as a site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir site

$(VENV)/.bench: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	@touch $@

bench: $(VENV)/.bench $(COMPILED)/.ready  ## measure both builds, write the tables and the charts, in about ten minutes
	$(BIN)/python -m benchmarks $(ARGS)

scale: $(READY)  ## many sessions in Valkey and PostgreSQL: latency, size, bloat; SIZE=100000
	$(BIN)/python -m benchmarks.scale --size $(SIZE) $(ARGS)

bench-quick: $(VENV)/.bench  ## the same in under two: fewer rounds, no million sessions, no instruction counts
	$(BIN)/python -m benchmarks --quick $(ARGS)

mutants: $(READY)  ## break one thing at a time and see which test notices
	$(BIN)/python -m tests.mutants $(ARGS)

documents: $(READY)  ## run the samples of session documents against the adapters: make documents DOCS=folder
	$(BIN)/python -m tests.documents $(DOCS)

# Resolved for every Python from 3.11.0 on: a line that holds for some of them says for which.
constraints: $(READY)  ## pin today's newest versions in constraints.txt
	{ sed -n '/^#/p' constraints.txt; $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11.0 \
		--no-header --no-annotate --all-extras --group dev --group bench pyproject.toml; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## remove what was made here, environments included
	rm -rf .venv .venv-* .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .coverage build dist htmlcov site test-results
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
