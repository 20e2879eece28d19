# Everything happens in a virtual environment in .venv, made on first use. Another Python: make PYTHON=python3.12 ...
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Stands in for a processor without AVX-512: torch, oneDNN and MKL compute with AVX2 only, and round otherwise.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

.PHONY: demo test test-other-processors soak check format bench clean

demo: $(VENV)/.installed ## from plain text to a small pre-trained BERT; 3 to 7 minutes on two cores, see README
	$(BIN)/bert demo

test: $(VENV)/.installed-dev ## all tests, without network or GPU
	$(BIN)/python -m pytest -n auto --dist worksteal

test-other-processors: $(VENV)/.installed-dev ## all tests with one and two threads, with this processor's instructions and with AVX2 only; not in CI
	failed=; for threads in 1 2; do for instructions in "" "$(AVX2)"; do \
		echo "OMP_NUM_THREADS=$$threads $$instructions"; \
		env OMP_NUM_THREADS=$$threads OMP_WAIT_POLICY=passive $$instructions $(BIN)/python -m pytest -q -n auto --dist worksteal || failed=1; \
	done; done; test -z "$$failed"

soak: $(VENV)/.installed-dev ## kill trainings at every moment, also under torchrun, and continue them; writes docs/survival.md; an hour, not in CI
	$(BIN)/python -m pytest -q -m soak
	$(BIN)/python -m tests.soak.kill_matrix

check: $(VENV)/.installed-dev ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## the tables of benchmarks/results; BENCH names your files, see benchmarks/run.py
	$(BIN)/python -m benchmarks.run $(BENCH)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo
