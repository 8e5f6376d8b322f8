# `make help` lists the targets; `make setup` creates .venv, everything else runs inside it.

PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3
export NO_MKDOCS_2_WARNING ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types unit docs serve bench lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: .venv/.installed ## create .venv with the locked packages, and heartzoo in it

# The stamps are written last: what was interrupted is done again from its beginning.
.venv/.locked: requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "heartzoo: $(PYTHON) not found: name a Python 3.11, 3.12 or 3.13, make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit(f"heartzoo: needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is {v[0]}.{v[1]}: name one, make setup PYTHON=python3.12")'
	@echo "heartzoo: creating .venv"
	@$(PYTHON) -m venv --clear .venv
	@echo "heartzoo: installing the packages of requirements.lock: this takes minutes"
	@$(BIN)/python -m pip install --disable-pip-version-check --only-binary :all: --require-hashes -r requirements.lock
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	@echo "heartzoo: installing heartzoo itself"
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --quiet -e .
	@touch $@
	@echo "heartzoo: ready: make demo, or $(BIN)/heartzoo --help"

demo: setup ## train, quantize, export and evaluate a small model on synthetic recordings
	@rm -rf demo
	$(BIN)/heartzoo train configs/demo.yaml --out demo/run
	$(BIN)/heartzoo export demo/run --zoo demo/zoo
	$(BIN)/heartzoo evaluate demo --zoo demo/zoo --out demo/reports
	@echo
	@echo "The run is in demo/run, the published model in demo/zoo/demo/1.0.0, the report in demo/reports."
	@echo "Next: .venv/bin/heartzoo list, or train on real recordings: .venv/bin/heartzoo train configs/arr-5-res-sm.yaml"

test: lint types unit ## all checks: style, types, tests; they build the documentation, too

lint: setup ## style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: setup ## types
	$(BIN)/mypy heartzoo

unit: setup ## tests
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

docs: setup ## build the documentation into site/, with the zoo for download
	$(BIN)/python -m heartzoo.website docs
	$(BIN)/mkdocs build --strict --quiet
	$(BIN)/heartzoo publish site/zoo

serve: docs ## build the documentation and show it on port 8000 of this machine
	$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory site

bench: setup ## time preparation, the input pipeline, a training step, classification and the command line
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/input_pipeline.py
	$(BIN)/python benchmarks/allocator.py
	$(BIN)/python benchmarks/classify.py
	$(BIN)/python benchmarks/start_up.py

lock: setup ## choose the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --fork-strategy fewest \
		--upgrade --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" \
		--quiet --output-file requirements.lock

clean: ## remove .venv and everything built
	rm -rf .venv demo build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
