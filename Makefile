# The commands of this project. `make run` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
STAMP_DEV := $(VENV)/.installed-dev

.PHONY: run test check fix docs bench clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast]'
	@touch $@

$(STAMP_DEV): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast,dev]'
	@touch $@ $(STAMP)

run: $(STAMP)  ## the whole loop on the sample pool, offline
	@$(BIN)/rubricate run --config-name iterative files.responses_file=sample \
		models.rubric_generator=offline models.verifier=offline

test: $(STAMP_DEV)  ## every test
	$(BIN)/python -m pytest -n 2

check: $(STAMP_DEV)  ## format, lint, types
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

fix: $(STAMP_DEV)
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

clean:
	rm -rf $(VENV) workflow_outs build dist
