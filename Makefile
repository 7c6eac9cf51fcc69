# make demo   sets up and edits a picture
# make test   sets up and runs every check
# make docs   sets up and writes the documentation as a site, build/site/index.html
# make wheel  sets up and builds what pip installs, dist/refhooks-*.whl
# make oldest, make newest   the tests of its core on the lowest versions that it states, and on the newest
# make mutants   sets up, changes lines of the code one at a time, and says which changes no test notices
# PYTHON=python3.12 make test   with another interpreter

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

# An environment of its own for each end and each Python, and what runs there.
EDGE = .venv-$@-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
EDGE_PIP = $(EDGE)/bin/pip install --quiet --disable-pip-version-check
EDGE_TESTS := tests/core tests/plugins/qwen tests/apps/recipes tests/testing

.PHONY: demo docs wheel evidence test lint types unit mutants oldest newest clean

demo: $(INSTALLED)
	@echo 'editing a picture with the embedded model: it takes about a minute'
	@$(BIN)/refhooks demo

test: lint types unit

# Every picture and figure in the docs that depends on the embedded model.
evidence: $(READY)
	$(BIN)/python docs/make_images.py
	$(BIN)/python docs/make_cookbook.py
	$(BIN)/python benchmarks/forms.py --scenes 6
	$(BIN)/python benchmarks/drift.py
	$(BIN)/python -m refhooks_toy.report --card \
		--json benchmarks/results/toy.json --sheet docs/images/toy.png
	$(BIN)/python benchmarks/leaks.py
	$(BIN)/python benchmarks/denoise.py
	$(BIN)/refhooks score --methods default,inject,concat,cross_attn --steps 16 \
		--kinds color-change,style-transfer,object-swap,add-elements,remove-elements,lighting-change,expression-change,background-swap \
		--json benchmarks/results/score.json -o build/score
	$(BIN)/python benchmarks/worth.py
	$(BIN)/python benchmarks/marks.py
	$(BIN)/python docs/write_marks.py
	$(BIN)/python docs/write_readme_table.py
	$(BIN)/python benchmarks/search.py
	$(BIN)/python benchmarks/confirm.py
	$(BIN)/python benchmarks/search.py --publish-only
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/claims.py
	$(BIN)/python benchmarks/claims.py presets
	$(BIN)/python docs/write_presets_table.py
	$(BIN)/python benchmarks/dial.py
	$(BIN)/python benchmarks/hold.py
	$(BIN)/python docs/write_dial.py

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

# No part of `make test`: it runs for about an hour, and goes on where it was stopped.
mutants: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/mutants.py

# Both ends of the versions that pyproject.toml allows. No part of `make test`: each fetches gigabytes, the
# newest are others every week, and torch 2.9 and numpy 2.0 have no wheels for Python 3.13 together.
oldest:
	@test -x $(EDGE)/bin/python || $(PYTHON) -m venv $(EDGE)
	@$(PYTHON) .ci/edges.py lowest > $(EDGE)/lowest.txt
	@echo 'installing the lowest versions into $(EDGE)'
	@$(EDGE_PIP) --constraint $(EDGE)/lowest.txt --editable '.[dev]'
	@$(EDGE)/bin/python .ci/edges.py at-lowest
	$(EDGE)/bin/python -m pytest $(EDGE_TESTS)

newest:
	@test -x $(EDGE)/bin/python || $(PYTHON) -m venv $(EDGE)
	@echo 'installing the newest versions into $(EDGE)'
	@$(EDGE_PIP) --upgrade --upgrade-strategy eager --editable '.[dev]'
	@$(EDGE)/bin/python .ci/edges.py installed
	$(EDGE)/bin/python -m pytest $(EDGE_TESTS)

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
	rm -rf $(VENV) .venv-oldest-* .venv-newest-* build dist demo .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
