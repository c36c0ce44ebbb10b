# The README's commands. Each sets up .venv by itself.

PYTHON ?= python3
# Modules are compiled at their first import, so that pip need not compile all.
PIP := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile
# And kept, also where the environment forbids it: otherwise each process of the tests would compile
# all that it imports again, which takes longer than most of them run.
unexport PYTHONDONTWRITEBYTECODE

LOCKED := $(PIP) --require-hashes --requirement service/deploy

.PHONY: demo test coverage check stubs lock bom clean

demo: .venv/.installed
	.venv/bin/python -m service.demo

# Every test, in one process more than there are cores, at most 5; each starts a PostgreSQL of its
# own. `pytest` alone runs one process.
test: .venv/.installed-dev
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 5 --dist worksteal

# The coverage of domain, engine and books, branches included. It fails if one is below 95 %.
coverage: .venv/.installed-dev
	.venv/bin/python -m coverage run -m pytest tests/domain tests/engine tests/books tests/storage/test_verify.py
	.venv/bin/python -m coverage report --include='service/domain/*'
	.venv/bin/python -m coverage report --include='service/engine/*'
	.venv/bin/python -m coverage report --include='service/books/*'

# House rules: style, types, imports between folders, the contract, and generated code.
check: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	.venv/bin/python proto/generate.py --lint
	.venv/bin/python proto/generate.py --check
	.venv/bin/python service/engine/generate.py --check
	.venv/bin/python -m service.cli.generate --check

# Generates the Python code of the contract, the list of operations, and the page of settings.
stubs: .venv/.installed-dev
	.venv/bin/python proto/generate.py
	.venv/bin/python service/engine/generate.py
	.venv/bin/python -m service.cli.generate

# Writes the hashes of every file of every pinned version, for all platforms. Nothing else is ever
# installed. (A pin is changed by hand, in requirements*.txt or in service/deploy/tools.txt.)
LOCK := .venv/tools/bin/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --no-header --no-annotate
lock: .venv/.installed-tools
	$(LOCK) requirements.txt --output-file service/deploy/requirements.lock
	$(LOCK) requirements-train.txt --constraint requirements.txt \
	  --output-file service/deploy/requirements-train.lock
	$(LOCK) requirements-dev.txt --constraint requirements.txt --constraint requirements-train.txt \
	  --output-file service/deploy/requirements-dev.lock
	$(LOCK) service/deploy/tools.txt --output-file service/deploy/tools.lock

# The bill of materials (CycloneDX) of what the image installs: dist/freehold-bom.json.
bom: .venv/.installed-tools
	@mkdir -p dist
	@$(PYTHON) -m venv --clear .venv/shipped
	@.venv/shipped/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --require-hashes --requirement service/deploy/requirements.lock
	.venv/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
	  --spec-version 1.6 --output-file dist/freehold-bom.json .venv/shipped

.venv/.installed: service/deploy/requirements.lock service/deploy/requirements-train.lock pyproject.toml
	@echo "Setting up .venv (about a minute the first time) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: run make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv
	@$(LOCKED)/requirements.lock
	@$(LOCKED)/requirements-train.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed service/deploy/requirements-dev.lock
	@$(LOCKED)/requirements-dev.lock
	@touch $@

.venv/.installed-tools: service/deploy/tools.lock
	@$(PYTHON) -m venv .venv/tools
	@.venv/tools/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --require-hashes --requirement service/deploy/tools.lock
	@touch $@

# Removes .venv, the demo's results and the coverage figures.
clean:
	rm -rf .venv .freehold .coverage
