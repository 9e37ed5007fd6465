# `make demo` and `make test` are all there is to set up: each creates .venv first if need be.
PYTHON ?= python3
BIN := .venv/bin
ABLATIONS := task-network few-labels mask-ratio
export PYTHONDONTWRITEBYTECODE = # what a process compiles, the next one need not

.PHONY: setup demo docs board test test-all test-compiled speed check clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "pretask needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv-all/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-all
	.venv-all/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,all]'
	touch $@

demo: setup ## seven tasks of four modalities on embedded data, a table, and a leaderboard with pictures, in four minutes
	$(BIN)/pretask bench quick --jobs 2 --out runs
	$(BIN)/pretask board quick runs/records --out runs/site

docs: .venv-all/ready ## the documentation site, in runs/docs
	NO_MKDOCS_2_WARNING=1 .venv-all/bin/python -m mkdocs build --strict

board: setup ## docs/board and docs/ablations, from their records; the same records give the same bytes
	$(BIN)/pretask board lecture benchmarks/results/lecture --out docs/board
	for name in $(ABLATIONS); do $(BIN)/pretask --plugin benchmarks/ablations/rotation.py board \
	  benchmarks/ablations/$$name.toml benchmarks/results/ablations --out docs/ablations/$$name || exit; done

test: setup ## every test, warnings as errors
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --dist worksteal

test-all: .venv-all/ready ## what needs an extra, a compiler, many kills or a package installed anew
	OMP_NUM_THREADS=1 .venv-all/bin/python -m pytest -q -n logical --dist worksteal -m exhaustive

test-compiled: .venv-all/ready ## every preset of every task through the compiler, and every combination: half an hour
	OMP_NUM_THREADS=1 .venv-all/bin/python -m pytest -q -m compiled

speed: setup ## what steps, draws, features, data, commands and large stores cost, as ratios: half an hour or more
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-all runs site
