# `make` lists the targets. Everything is set up on the way: only Python ≥ 3.11, pip and make are needed.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt -e

# Three for two cores, as browsers spend much of their time waiting.
WORKERS ?= $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))
PYTEST = pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Each is there once its part is installed.
PACKAGE := .venv/.package
BUILDER := .venv/.builder
TOOLS := .venv/.tools

.PHONY: help study draw resist one test lowest newest check format models pictures notebooks reference site page bench soak clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /  make \1|/' | column -t -s '|'

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(PACKAGE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing deceive with what it needs into .venv (0.9 GB, most of it PyTorch)."
	$(INSTALL) .
	@touch $@

$(BUILDER): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing deceive with what builds its page into .venv (1.2 GB, most of it PyTorch)."
	$(INSTALL) '.[page]'
	@touch $(PACKAGE) $@

$(TOOLS): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing deceive with all that its tests and its documentation need into .venv (2 GB)."
	$(INSTALL) '.[dev]'
	@touch $(PACKAGE) $(BUILDER) $@

study: $(PACKAGE) ## train, deceive, teach rubbish, deceive again: the whole case study
	$(BIN)/deceive study

draw: $(PACKAGE) ## deceive, teach, again: until digits emerge from noise
	$(BIN)/deceive rounds

resist: $(PACKAGE) ## deceive, teach, again: until gibberish hardly deceives
	$(BIN)/deceive rounds --preset resist

one: $(PACKAGE) ## deceive, teach, again: one network that reads, resists and draws
	$(BIN)/deceive rounds --preset one

test: check ## formatter, linters, types and every test
	$(BIN)/python -m $(PYTEST)

lowest: ## every test with the oldest versions that pyproject.toml allows
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --disable-pip-version-check \
	  -c constraints-lowest.txt -e '.[dev]'
	.venv-lowest/bin/python -m $(PYTEST)

newest: ## every test with the newest versions that can be installed
	test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --disable-pip-version-check \
	  --upgrade --upgrade-strategy eager -e '.[dev]'
	.venv-newest/bin/python -m $(PYTEST)

check: $(TOOLS) ## formatter's check, linter, prose and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m tools.prose
	$(BIN)/mypy

format: $(TOOLS) ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The last network of a run, where the shipped ones are.
define shipped
for kind in safetensors json; do \
  for each in runs/$(1)/weights/round-*.$$kind; do \
    cp "$$each" models/$(1).$$kind || exit 1; \
  done; \
done
endef

models: $(PACKAGE) ## train the shipped networks again; judge-in-noise stays
	$(BIN)/deceive train --recipe fast --seed 0 --out models/fast.safetensors
	$(BIN)/deceive train --recipe judge --seed 1 --out models/judge.safetensors
	$(BIN)/deceive train --recipe study --seed 0 --out models/study.safetensors
	$(BIN)/deceive train --recipe detector --seed 0 --out models/detector.safetensors
	$(BIN)/deceive rounds
	for kind in safetensors json; do \
	  for each in runs/draw/weights/round-*.$$kind; do \
	    cp "$$each" "models/rounds-$${each##*round-}" || exit 1; \
	  done; \
	done
	$(BIN)/deceive rounds --preset resist
	$(call shipped,resist)
	$(BIN)/deceive rounds --preset one
	$(call shipped,one)

pictures: study $(TOOLS) ## the pictures of README and docs, from the study and of the page
	cp runs/study/images/*.png images/
	$(BIN)/python web/screenshots.py
	$(BIN)/python -m tools.moving_picture

notebooks: $(TOOLS) ## run the notebooks and keep what they give
	$(BIN)/python notebooks/run.py

reference: $(TOOLS) ## write the pages of docs/ that are made from the code
	$(BIN)/python -m tools.audit_schema
	$(BIN)/python -m tools.cards
	$(BIN)/python -m tools.command_line

site: $(TOOLS) ## build the documentation into build/site; the page too, after `make page`
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --fresh-env -d build/doctrees docs build/site

page: $(BUILDER) ## build the page into web/dist (needs Node.js); `deceive page` opens it
	$(BIN)/deceive page --build-only

bench: $(TOOLS) ## contests with other libraries; writes benchmarks/results
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[bench]'
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps 'torchattacks==3.5.1'
	$(BIN)/python -m benchmarks

SOAK_MINUTES ?= 60

soak: $(TOOLS) ## an hour of damaged inputs and kills (SOAK_MINUTES=5: less); new failures in soak/failures
	$(BIN)/python -m soak --minutes $(SOAK_MINUTES)

clean: ## remove the environment and the caches, not your runs
	rm -rf .venv .venv-lowest .venv-newest .mypy_cache .pytest_cache .ruff_cache build
	rm -rf web/node_modules web/dist web/public/networks web/public/notebooks
	rm -f docs/tutorials/*.ipynb
