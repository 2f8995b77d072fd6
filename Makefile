# Two commands do everything on a machine with Python 3.11 and make: `make demo` and `make test`.
# Set-up is part of them; see docs/decisions/0002-two-commands.md.

PYTHON ?= python3
ARGS ?=
WORKERS ?= 3
BIN := .venv/bin
UV = $(PYTHON) tools/bootstrap.py uv
LOCKED := uv.lock pyproject.toml tools/bootstrap.py tools/network.py tools/uv_wheel.py
DASHBOARD := src/lineside/edges/http/dashboard/index.html
FRONTEND := $(shell find frontend/src frontend/*.* -type f)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test acceptance fuzz bench dashboard dashboard-if-possible check-dashboard screenshots lint check-format \
	check-rules check-types check-layers format docs wheel audit sbom clean distclean

help: ## list the targets
	@echo "Usage: make TARGET [ARGS='...']"
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: .venv/.ready-runtime dashboard-if-possible ## watch lines become documents; ARGS='--seconds 20' ends by itself
	@$(BIN)/lineside demo $(ARGS)

# The tests start hundreds of processes; each would compile the source anew where Python may write no byte code, and
# each worker the tests at every run. Half of the time is waiting, for processes, disks and peers: hence one worker
# more than most machines' cores.
test: .venv/.ready-dev dashboard-if-possible ## run the tests; ARGS goes to pytest (-n 0 for one process, --pdb)
	@$(BIN)/python tools/test_servers.py
	@$(BIN)/python tools/tls_scanner.py
	@$(BIN)/python -m compileall -q src tests/rig workshop
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

acceptance: .venv/.ready-dev dashboard-if-possible ## run the long proofs
	$(BIN)/python -m pytest -m acceptance tests/acceptance $(ARGS)

fuzz: .venv/.ready-dev ## attack what reads bytes for long; EXAMPLES=100000 of each, what fails is kept and tried first
	FUZZ_EXAMPLES=$(or $(EXAMPLES),5000) FUZZ_DATABASE=$(CURDIR)/.hypothesis/fuzz \
		$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(wildcard tests/*/test_fuzz_*.py tests/*/*/test_fuzz_*.py) $(ARGS)

bench: .venv/.ready-dev ## measure; ARGS goes to each benchmark
	@for script in benchmarks/*.py; do \
		echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit 1; \
	done

dashboard: $(DASHBOARD) ## build the dashboard into the package; Node.js is fetched where there is none

# Without npm's registry there is no dashboard, and everything else works.
dashboard-if-possible: .venv/.ready-runtime
	@$(MAKE) --no-print-directory --question $(DASHBOARD) 2>/dev/null || $(PYTHON) tools/dashboard.py --if-possible

$(DASHBOARD): $(FRONTEND)
	@$(PYTHON) tools/dashboard.py

check-dashboard:
	@$(PYTHON) tools/dashboard.py --check

screenshots: .venv/.ready-dev $(DASHBOARD) ## make the documentation's pictures of the dashboard anew
	$(BIN)/python -m tests.browser.screenshots docs/images

lint: check-format check-rules check-types check-layers check-dashboard ## run every check of the source

check-format: .venv/.ready-dev
	$(BIN)/ruff format --check .

check-rules: .venv/.ready-dev
	$(BIN)/ruff check .

check-types: .venv/.ready-dev
	$(BIN)/mypy

check-layers: .venv/.ready-dev
	$(BIN)/lint-imports

format: .venv/.ready-dev ## format the source and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

docs: .venv/.ready-docs ## build the documentation into docs/_build
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

wheel: .venv/.ready-runtime dashboard ## build the wheel into dist/, beside the versions that it was tested with
	rm -rf dist
	$(UV) build --wheel --out-dir dist
	$(UV) export --quiet --locked --no-dev --no-emit-project --no-header --output-file dist/requirements.txt

# Not part of .ci/run: it asks PyPI's database of vulnerabilities, which needs the network and changes by itself.
audit: .venv/.ready-runtime sbom ## look for known vulnerabilities in what is locked, and list it as an SBOM
	$(UV) export --quiet --locked --no-dev --all-extras --no-emit-project --no-header --output-file dist/audited.txt
	$(UV) tool run pip-audit==2.10.1 --requirement dist/audited.txt --require-hashes --disable-pip $(ARGS)

sbom: .venv/.ready-runtime ## write what is locked into dist/sbom.cdx.json (CycloneDX 1.5), with hashes
	mkdir -p dist
	$(UV) export --quiet --locked --no-dev --all-extras --format cyclonedx1.5 --output-file dist/sbom.cdx.json

clean: ## remove what the other targets built
	rm -rf dist build docs/_build src/lineside/edges/http/dashboard .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environment with its tools
	rm -rf .venv .tools frontend/node_modules

# Done once, and again when what is locked changes; the script keeps the groups that were set up before.
.venv/.ready-%: $(LOCKED)
	@$(PYTHON) tools/bootstrap.py $*
