# The commands of the README; .ci/run runs demo and test-all.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
export CTRAN_CACHE := $(CURDIR)/.cache/ctran
export HF_HOME := $(CURDIR)/.cache/huggingface
export HF_HUB_OFFLINE := 1

.PHONY: demo check test test-all lock clean

demo: $(VENV)/ready ## train, evaluate and predict on the clip-art library
	@PYTHON=$(BIN)/python sh scripts/demo.sh

check: $(VENV)/ready ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo

test: check ## and the tests
	$(BIN)/python -m pytest

test-all: check ## and all tests, slow ones too (every shipped recipe is trained for two steps)
	$(BIN)/python -m pytest -m "slow or not slow"

$(VENV)/ready: pyproject.toml requirements.lock scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV=$(VENV) sh scripts/setup.sh
	@touch $@

lock: $(VENV)/ready ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | grep -v '^ctran' > requirements.lock

clean: ## remove the environment, caches and runs
	rm -rf $(VENV) .cache runs
