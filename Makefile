# The commands of the project. Each creates .venv where it is missing, installs the
# package in it, once, with what the command needs, and runs.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin

# The versions to install; without any, the newest.
CONSTRAINTS := constraints.txt

# A Python 3.11 to 3.13. `make test PYTHON=/path/to/python` chooses one; otherwise the
# first of these that fits is taken.
PYTHON ?=
PYTHONS = $(or $(PYTHON),python3 python3.13 python3.12 python3.11)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test coverage faults oldest newest lint format doc clean

help:
	@echo "make demo      learn the factors of rendered images, beside the baselines"
	@echo "make test      run the test suite on all cores (make test ARGS='-k lasso -x')"
	@echo "make coverage  run it, and fail where it leaves more than 5 % of lines out"
	@echo "make faults    kill, damage and break things, and count what is taken wrongly"
	@echo "make oldest    run it on the oldest versions that setup.cfg admits"
	@echo "make newest    run it on the newest versions there are"
	@echo "make lint      ruff, the format, the spelling and the types"
	@echo "make format    let ruff format the code and mend what it can"
	@echo "make doc       build the documentation (make doc GALLERY=1 runs the examples)"
	@echo "make clean     remove what these commands made, except .venv"

demo: $(VENV)/.installed-demo
	$(BIN)/python examples/plot_shapes3d.py $(ARGS)

# One process a core. An idle one takes over tests of a busy one, so that each has long
# runs of tests of the same file, which share what they fit.
test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

coverage: $(VENV)/.installed-coverage
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage report

faults: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.faults $(ARGS)

# Each has an environment of its own. The oldest versions have wheels for Python 3.11
# alone, and what is newest may have changed since the last time.
oldest:
	$(MAKE) test VENV=$(VENV)/oldest CONSTRAINTS=.ci/oldest.txt \
	    PYTHON="$(or $(PYTHON),python3.11)"

newest:
	rm -rf $(VENV)/newest
	$(MAKE) test VENV=$(VENV)/newest CONSTRAINTS= \
	    PYTHON="$(or $(PYTHON),python3.13 python3.12 python3.11)"

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Without GALLERY the examples are shown as they are, or as they ran last.
doc: $(VENV)/.installed-doc
	GALLERY=$(GALLERY) $(BIN)/python -m sphinx -W --keep-going -b html doc doc/_build/html
	@echo "The documentation is in doc/_build/html/index.html"

clean:
	rm -rf build dist *.egg-info demo doc/_build doc/generated doc/auto_examples
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

# One file a set of extras marks what is installed; it ages with the requirements.
$(VENV)/.installed-demo: EXTRAS = plot,progress
$(VENV)/.installed-test: EXTRAS = test
$(VENV)/.installed-coverage: EXTRAS = test,coverage
$(VENV)/.installed-doc: EXTRAS = doc
$(VENV)/.installed-%: setup.cfg pyproject.toml $(CONSTRAINTS) | $(BIN)/pip
	$(BIN)/python -m pip install --no-input --disable-pip-version-check \
	    $(addprefix -c ,$(CONSTRAINTS)) -e ".[$(EXTRAS)]"
	@touch $@

$(BIN)/pip:
	@for python in $(PYTHONS); do \
	    if $$python -c 'import sys; \
	sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2> /dev/null; then \
	        echo "$$python -m venv $(VENV)"; \
	        exec $$python -m venv $(VENV); \
	    fi; \
	done; \
	echo "sparsedis needs Python 3.11, 3.12 or 3.13, and found none in:" \
	    "$(PYTHONS)." >&2; \
	echo "Name one: make PYTHON=/path/to/python3.12 ..." >&2; \
	exit 1
