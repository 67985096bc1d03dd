# The commands of the README; .ci/run runs demo and test-all.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
export CTRAN_CACHE := $(CURDIR)/.cache/ctran
export HF_HOME := $(CURDIR)/.cache/huggingface
export HF_HUB_OFFLINE := 1
export PYTHONDONTWRITEBYTECODE := # where it is set, each process of tests compiles this package anew

.PHONY: demo check lint types docs test test-most test-models test-export test-all test-faults test-gpu test-browser studio lock hashes audit sbom clean

demo: $(VENV)/ready ## train, evaluate and predict on the clip-art library
	@PYTHON=$(BIN)/python sh scripts/demo.sh

check: lint types docs ## lint, import contracts, types, documentation

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/ready
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/ready ## the documentation site, in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html

EXPORT := tests/export tests/cli/test_export.py tests/benchmarks/test_exported.py
MODELS := tests/documents tests/training tests/methods
APART := $(addprefix --ignore ,$(EXPORT) $(MODELS) tests/browser)

# Tests of exports have a separate process: after other runtimes were loaded, starting a program from a long-lived process of
# tests has crashed.
# Two jobs at a time, the longest first; the output of each command is printed when it ends. What follows test-most takes as
# long as that does, in processor time.
SIDE_BY_SIDE = OMP_NUM_THREADS=1 $(MAKE) --no-print-directory -k -j2 --output-sync=line \
	test-most test-models test-export types docs

test: lint ## lint, types, documentation and the tests, two processes side by side
	@$(SIDE_BY_SIDE)

test-most:
	$(BIN)/python -m pytest $(SELECT) $(APART)

test-models:
	$(BIN)/python -m pytest $(SELECT) $(MODELS)

test-export:
	$(BIN)/python -m pytest $(SELECT) $(EXPORT)

test-all: lint ## and all tests, slow ones too (every shipped recipe is trained for two steps)
	@$(SIDE_BY_SIDE) SELECT='-m "not gpu and not faults"'

test-faults: $(VENV)/ready ## many kills at random moments, damaged files by the ten thousand, memory over many pictures
	$(BIN)/python -m pytest tests/collection/test_processes.py tests/training/test_killed.py tests/faults -m "slow or faults"
	REQUESTS=$${REQUESTS:-50} $(BIN)/python -m pytest tests/serving/test_schema.py

test-gpu: $(VENV)/ready ## training, evaluation, serving and export on CUDA; skipped, with the reason, where there is none
	$(BIN)/python -m pytest tests/gpu -m gpu -rs

test-browser: $(VENV)/ready ## the studio in a real browser (installs Debian's chromium where there is none; needs root then)
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { apt-get update -qq && apt-get install -qqy --no-install-recommends chromium; }
	$(BIN)/python -m pytest tests/browser

studio: $(VENV)/ready ## a person and the model label a picture together: a page in your browser
	$(BIN)/ctran serve $(if $(wildcard runs/demo/finished.json),runs/demo,models/openclipart) --open

$(VENV)/ready: pyproject.toml requirements.lock scripts/setup.sh
	@PYTHON="$(PYTHON)" VENV=$(VENV) sh scripts/setup.sh
	@touch $@

lock: $(VENV)/ready ## pin what is installed now
	$(BIN)/pip freeze --exclude-editable | grep -v '^ctran' > requirements.lock

hashes: $(VENV)/ready ## requirements.hashes.lock for this platform: the pins with the hashes that the public index states
	$(BIN)/python scripts/hashes.py

audit: $(VENV)/ready ## known vulnerabilities of the pinned packages; states it where there is no network
	$(BIN)/python scripts/audit.py

sbom: $(VENV)/ready ## dist/sbom.json (CycloneDX) and dist/licences.csv of what is installed; without a network
	@mkdir -p dist
	$(BIN)/cyclonedx-py environment --output-reproducible --output-format JSON --output-file dist/sbom.json $(BIN)/python
	$(BIN)/python scripts/licences.py dist/sbom.json > dist/licences.csv

clean: ## remove the environment, caches and runs
	rm -rf $(VENV) .cache runs
