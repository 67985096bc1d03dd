# The two commands of the README; .ci/run runs exactly these.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
export CTRAN_CACHE := $(CURDIR)/.cache/ctran
export HF_HOME := $(CURDIR)/.cache/huggingface
export HF_HUB_OFFLINE := 1

.PHONY: demo test lock clean

demo: $(VENV)/ready ## train, evaluate and predict on the clip-art library
	@PYTHON=$(BIN)/python sh scripts/demo.sh

test: $(VENV)/ready ## lint, types, import contracts and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest

$(VENV)/ready: pyproject.toml requirements.lock scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV=$(VENV) sh scripts/setup.sh
	@touch $@

lock: $(VENV)/ready ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | grep -v '^ctran' > requirements.lock

clean: ## remove the environment, caches and runs
	rm -rf $(VENV) .cache runs
