# Everything happens in a virtual environment in .venv, made on first use. Another Python: make PYTHON=python3.12 ...
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# Stands in for a processor without AVX-512: torch, oneDNN and MKL compute with AVX2 only, and round otherwise.
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

CLIENTS ?= .venv-clients

.PHONY: demo test test-export test-remote test-ray test-serve browser test-browser test-other-processors soak check format bench load-test clean

demo: $(VENV)/.installed ## from plain text to a small pre-trained BERT; 3 to 7 minutes on two cores, see README
	$(BIN)/bert demo

test: $(VENV)/.installed-dev ## all tests, without network or GPU
	$(BIN)/python -m pytest -n auto --dist worksteal

test-other-processors: $(VENV)/.installed-dev ## all tests with one and two threads, with this processor's instructions and with AVX2 only; not in CI
	failed=; for threads in 1 2; do for instructions in "" "$(AVX2)"; do \
		echo "OMP_NUM_THREADS=$$threads $$instructions"; \
		env OMP_NUM_THREADS=$$threads OMP_WAIT_POLICY=passive $$instructions $(BIN)/python -m pytest -q -n auto --dist worksteal || failed=1; \
	done; done; test -z "$$failed"

test-export: $(VENV)/.installed-dev $(VENV)-export/.installed ## exports in ONNX Runtime, OpenVINO, sentence-transformers and transformers.js; not in CI
	BERTWORKS_EXPORT_ENVIRONMENT=$(abspath $(VENV)-export) $(BIN)/python -m pytest -q -ra tests/export

test-remote: $(VENV)-remote/.installed ## paths on s3://, gs:// and hf://, on servers of these kinds behind a bad network; not in CI
	$(VENV)-remote/bin/python -m pytest -q -ra tests/remote

test-ray: $(VENV)-ray/.installed ## data preparation on a real Ray cluster of this machine, whose workers are killed; not in CI
	$(VENV)-ray/bin/python -m pytest -q -ra tests/ray

test-serve: $(VENV)/.installed-dev $(CLIENTS)/.installed ## bert serve with OpenAI's client and with what Schemathesis sends; not in CI
	$(BIN)/python -m tests.serve_clients.run $(CLIENTS)/bin

browser: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[browser]"

test-browser: browser ## the page of bert serve in Debian's Chromium, which must be installed; CI runs it where it is
	$(BIN)/python -m pytest tests/serve/test_page.py

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

bench: $(VENV)/.installed-dev ## the tables of benchmarks/results, by bert benchmark; BENCH names your files, see benchmarks/run.py
	$(BIN)/python -m benchmarks.run $(BENCH)

load-test: $(VENV)/.installed-dev ## 100,000 requests to bert serve (REQUESTS=...), one in a hundred bad: answers, hangs, memory; not in CI
	$(BIN)/python -m benchmarks.serving_soak --requests=$(or $(REQUESTS),100000)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# sentence-transformers' extra for ONNX does not resolve beside transformers 5, and transformers.js is for Node.
$(VENV)-export/.installed: tests/export/other_programs/requirements.txt tests/export/other_programs/package.json
	$(PYTHON) -m venv $(VENV)-export
	$(VENV)-export/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	if command -v npm > /dev/null; then \
		cp tests/export/other_programs/package.json $(VENV)-export && \
		npm install --prefix $(VENV)-export --ignore-scripts --no-audit --no-fund --no-package-lock; \
	else echo "npm is not installed, so transformers.js is not tested"; fi
	touch $@

# These libraries need other versions of what .venv has, so theirs come first and all else from there.
$(VENV)-remote/.installed: tests/remote/servers/requirements.txt
$(VENV)-ray/.installed: tests/ray/requirements.txt
$(VENV)-remote/.installed $(VENV)-ray/.installed: $(VENV)/.installed-dev
	$(PYTHON) -m venv $(@D)
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" > \
		"$$($(@D)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/beside.pth"
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $(filter %requirements.txt,$^)
	touch $@

$(CLIENTS)/.installed: tests/serve_clients/requirements.txt
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-export $(VENV)-remote $(VENV)-ray $(CLIENTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo
