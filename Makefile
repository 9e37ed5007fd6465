# `make demo` and `make test` are all there is to set up: each creates .venv first if need be.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-all check clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "pretask needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup ## every installed task on embedded data, a table of all, and a leaderboard to look at
	$(BIN)/pretask bench quick --out runs
	$(BIN)/pretask board quick runs/records --out runs/site

test: setup ## every test, warnings as errors
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist worksteal

test-all: setup test ## and what takes longer than the rest together
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m exhaustive

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs site
