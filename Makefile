# CRM Mail. `make help` lists what there is.
# The base Python is only used to make .venv; everything else runs inside it.

BASE_PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& { echo $$python; exit; }; done; echo python3)
VENV ?= .venv
PYTHON := $(VENV)/bin/python
STAMPS := $(VENV)/.stamps
SOURCES := accounts api bench crm_mail customers fetcher mail portal sender sharing tests manage.py
PYTEST_ARGS ?= -n 2
# A bare `pip` on the machine may be configured for another Python; this one always belongs to the venv.
PIP_INSTALL := $(PYTHON) -m pip install --disable-pip-version-check --no-input --quiet --require-hashes
# Extras stay in the names: pip would choose the newest of `name[extra]` beside a pinned `name`, and refuse it for its hash.
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-strip-extras --quiet $(LOCK_ARGS)

.DEFAULT_GOAL := help
.PHONY: help run demo test test-embedded test-services chaos hostile lint format bench bench-reading bench-customers bench-quiet bench-fleet lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| awk -F'|' '{printf "  make %-15s %s\n", $$1, $$2}'

run: $(STAMPS)/run ## start web, worker and scheduler on the embedded default
	@exec $(PYTHON) manage.py up

demo: $(STAMPS)/run ## the same on throw-away data, with sample mail servers, people and customers
	@exec $(PYTHON) manage.py demo

test: test-embedded test-services ## every test, on the embedded default and on PostgreSQL and Redis

test-embedded: $(STAMPS)/test ## every test on SQLite and the file broker
	$(PYTHON) -m pytest $(PYTEST_ARGS)

test-services: $(STAMPS)/test ## every test on PostgreSQL and Redis (given, found here, or from the test extras)
	$(PYTHON) -m tests.services $(PYTHON) -m pytest $(PYTEST_ARGS)

bench-quiet: $(STAMPS)/test ## what a poll costs that finds nothing new, with 10,000 and 50,000 messages left on the server
	$(PYTHON) -m tests.services $(PYTHON) -m bench.quiet $(BENCH_ARGS)

bench-fleet: $(STAMPS)/test ## polls a second and lateness with 10,000 simulated mailboxes
	$(PYTHON) -m tests.services $(PYTHON) -m bench.fleet $(BENCH_ARGS)

chaos: export CRM_MAIL_CHAOS_SECONDS ?= 900
chaos: $(STAMPS)/test ## workers killed, connections cut, queue and database gone, for a quarter of an hour
	$(PYTHON) -m tests.services $(PYTHON) -m pytest -q -s -n 0 tests/fetcher/test_chaos.py

hostile: export CRM_MAIL_HOSTILE := all
hostile: $(STAMPS)/test ## every sample of hostile HTML in Chromium, in every view of a message
	$(PYTHON) -m pytest -q $(PYTEST_ARGS) tests/portal/test_hostile.py

# Checking must not make keys or a database in the data folder of a checkout.
lint: export CRM_MAIL_DATA_DIR := $(abspath $(VENV))/.lint
lint: $(STAMPS)/dev ## ruff, mypy, the floors, Django's checks, missing migrations
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PYTHON) manage.py check
	$(PYTHON) manage.py makemigrations --check --dry-run

format: $(STAMPS)/dev ## put every file into the house's form
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(STAMPS)/test ## messages a second, end to end, beside the pipelined limit
	$(PYTHON) -m bench $(BENCH_ARGS)

bench-reading: $(STAMPS)/test ## what pages cost at 100,000 and 1,000,000 messages, on PostgreSQL
	$(PYTHON) -m tests.services $(PYTHON) -m bench.reading $(BENCH_ARGS)

bench-customers: $(STAMPS)/test ## what lists of 20,000 customers, linking stored mail and importing 100,000 rows cost
	$(PYTHON) -m tests.services $(PYTHON) -m bench.customers $(BENCH_ARGS)

# Needs uv. Each lock is a subset of the next, so that what is tested is what runs. LOCK_ARGS="--upgrade" renews.
lock: ## write requirements/*.txt again from pyproject.toml
	$(LOCK) -o requirements/run.txt
	$(LOCK) --extra test -c requirements/run.txt -o requirements/test.txt
	$(LOCK) --extra test --extra dev -c requirements/test.txt -o requirements/dev.txt

clean: ## remove .venv and what tools left behind (the data folder stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's Python may lack ensurepip: then the venv starts empty and the machine's pip fills it.
$(PYTHON):
	@$(BASE_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "CRM Mail needs Python 3.11 or newer; name one with: make BASE_PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making $(VENV)"
	@if $(BASE_PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		$(BASE_PYTHON) -m venv $(VENV); \
	elif $(BASE_PYTHON) -m pip --version >/dev/null 2>&1; then \
		$(BASE_PYTHON) -m venv --without-pip $(VENV) \
			&& $(BASE_PYTHON) -m pip --python $(VENV) install --disable-pip-version-check --quiet pip; \
	else \
		echo "This Python has neither ensurepip nor pip: install python3-venv or python3-pip" >&2; exit 1; \
	fi

# A stamp holds the checksum of the lock that was installed, so a checkout that touches files installs nothing again.
# Each lock includes the one before it; a larger install therefore satisfies a smaller one.
define install
	@mkdir -p $(STAMPS)
	@sum=$$(cat $(foreach name,$(1),requirements/$(name).txt) | cksum); \
	if [ "$$sum" != "$$(cat $@.sum 2>/dev/null)" ]; then \
		echo "Installing requirements/$(lastword $(1)).txt"; \
		$(PIP_INSTALL) -r requirements/$(lastword $(1)).txt && echo "$$sum" >$@.sum; \
	fi
	@touch $@
endef

$(STAMPS)/run: requirements/run.txt | $(PYTHON)
	$(call install,run)

$(STAMPS)/test: requirements/test.txt $(STAMPS)/run | $(PYTHON)
	$(call install,run test)

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/test | $(PYTHON)
	$(call install,run test dev)
