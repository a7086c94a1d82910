# Every target sets up what it needs: a fresh machine wants python3 (3.11 or newer) and make, nothing else.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCHMARKS := reports/benchmarks.json

# As in pyproject.toml: a second -m replaces it.
DEFAULT := not slow and not cuda and not benchmark
SUITE := -n $(JOBS) --dist worksteal --timeout 300 --durations 10

# Threads of several processes on the same cores slow each other down many times over.
export OMP_NUM_THREADS := 1

.NOTPARALLEL:
.PHONY: help venv demo test suite slow kill-table bench coverage lint types wheel clean

help:
	@echo 'make demo      see it find a defect, on a fresh machine'
	@echo 'make test      the test-suite, the benchmarks and the coverage floor'
	@echo 'make lint      style and layers      make types   mypy --strict'
	@echo 'make slow      the tests that take hours      make kill-table   the committed table, measured anew'
	@echo 'make bench     the benchmarks alone  make wheel   sdist and wheel in dist/'
	@echo 'make clean     remove what was built, the environment too'

venv: $(STAMP)

# Made anew whenever the declared dependencies change: nothing left over can hide one that is missing.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# DEMO='--vocab 5' makes it shorter.
demo: $(STAMP)
	$(BIN)/python examples/demo.py $(DEMO)

test: suite bench coverage

# Coverage costs the statistics half as much time again: what is marked long is run without.
suite: $(STAMP)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(SUITE) -m 'not long and $(DEFAULT)'
	$(BIN)/python -m pytest $(SUITE) -m 'long and $(DEFAULT)'

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow -n $(JOBS) --timeout 3600 --durations 10

# Fails where a rate differs from the committed one by more than the intervals of both allow. SEEDS=50 CONTROLS=40
# EXACT=1000 is what the table aims at, and takes a day of two cores.
SEEDS ?= 5
CONTROLS ?= 2
EXACT ?= 10
kill-table: $(STAMP)
	$(BIN)/python scripts/kill_table.py --seeds $(SEEDS) --controls $(CONTROLS) --exact $(EXACT) --check

# Alone on the machine and in one process; a run that measured nothing fails.
bench: $(STAMP)
	@mkdir -p $(dir $(BENCHMARKS)) && rm -f $(BENCHMARKS)
	$(BIN)/python -m pytest tests/benchmarks -m '' -p no:xdist --benchmark-enable --benchmark-only \
	    --benchmark-json $(BENCHMARKS) --timeout 300
	$(BIN)/python scripts/check_benchmarks.py $(BENCHMARKS)

coverage: $(STAMP)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report
	$(BIN)/python scripts/coverage_floor.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

wheel: $(STAMP)
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/python scripts/check_wheel.py dist

clean:
	rm -rf $(VENV) build dist reports htmlcov *.egg-info
	rm -rf .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
