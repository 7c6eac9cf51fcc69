# make demo   sets up and edits a picture
# make test   sets up and runs every check
# make docs   sets up and writes the documentation as a site, build/site/index.html
# make wheel  sets up and builds what pip installs, dist/refhooks-*.whl
# PYTHON=python3.12 make test   with another interpreter

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo docs wheel evidence test lint types unit clean

demo: $(INSTALLED)
	@echo 'editing a picture with the embedded model: about half a minute'
	@$(BIN)/refhooks demo

test: lint types unit

# Every picture and figure in the docs that depends on the embedded model.
evidence: $(READY)
	$(BIN)/python docs/make_images.py
	$(BIN)/python benchmarks/forms.py --scenes 6
	$(BIN)/python benchmarks/drift.py
	$(BIN)/python -m refhooks_toy.report --card \
		--json benchmarks/results/toy.json --sheet docs/images/toy.png
	$(BIN)/python benchmarks/leaks.py
	$(BIN)/python benchmarks/denoise.py
	$(BIN)/refhooks score --methods default,inject,concat,cross_attn --steps 16 \
		--kinds color-change,style-transfer,object-swap,add-elements,remove-elements,lighting-change,expression-change,background-swap \
		--json benchmarks/results/score.json -o build/score
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/claims.py
	$(BIN)/python benchmarks/claims.py presets
	$(BIN)/python docs/write_presets_table.py

# The documentation as a site, in build/site.
docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --quiet --fresh-env --fail-on-warning --keep-going \
		--conf-dir docs --doctree-dir build/doctrees . build/site

wheel: $(READY)
	$(BIN)/python -m hatchling build --target wheel

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

# In two processes, each file in one of them, in the order of tests/conftest.py.
# `$(BIN)/python -m pytest` runs the same tests in one process.
unit: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What a user has. Nothing is compiled ahead: Python compiles what is imported, once.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("refhooks needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'installing torch, diffusers and transformers into $(VENV); the first time they are fetched, later it takes a minute'
	@$(PIP) --no-compile --editable .
	@touch $@

# What its developers have.
$(READY): $(INSTALLED)
	@echo 'installing what the checks need into $(VENV)'
	@$(PIP) --no-compile --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(READY)
	$(PIP) --editable '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
