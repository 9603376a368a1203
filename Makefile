# `make run` and `make test` do everything, the set-up included. PYTHON may name another interpreter (3.11 or later).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-slow lint viz lab mlflow clean

run: $(VENV)/installed
	$(BIN)/kedro run --pipeline=ctcd

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

viz: $(VENV)/installed
	$(BIN)/kedro viz run

lab: $(VENV)/installed
	$(BIN)/kedro jupyter lab

mlflow: $(VENV)/installed
	$(BIN)/mlflow ui --backend-store-uri sqlite:///data/mlflow.db

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@
