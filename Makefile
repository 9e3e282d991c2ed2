# Two commands: `make demo` runs the whole job on a fictional business, `make test` proves that it works.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# They stop and start servers against the clock, and get the machine for themselves.
SERVERS := journey_pipeline_tests/orchestration/test_deploy.py

.PHONY: demo test lint types walls tests bench accuracy dashboard clean

demo: $(VENV)/.run
	$(BIN)/journey demo

test: lint types walls tests

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

walls: $(VENV)/.dev
	$(BIN)/lint-imports

tests: $(VENV)/.dev
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --ignore $(SERVERS)
	$(BIN)/pytest $(SERVERS)

bench: $(VENV)/.dev
	$(BIN)/python -m bench.run
	$(BIN)/python -m bench.masking

accuracy: $(VENV)/.dev
	$(BIN)/python -m bench.accuracy
	$(BIN)/python -m bench.weeks
	$(BIN)/python -m bench.identity

# Apache Superset with our dashboard on loopback; URI names the PostgreSQL that was published to.
dashboard:
	PYTHON=$(PYTHON) superset/dashboard.sh $(URI)

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d; try: make demo PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) journey_data
