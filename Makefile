# The only entry point, for people and for CI. `make` alone lists the targets.
# A bare clone needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
SERVICE ?= market_data
FORMAT ?= csv

BIN := .venv/bin
STAMP := .venv/.installed
NODE_STAMP := tests/node/node_modules/.installed

GATEWAYS ?= 2
# Compose looks here for its files, in every command below and in deploy/*.sh.
ifdef DEMO
export COMPOSE_FILE := docker-compose.yml:docker-compose.demo.yml
endif
# For the reason that deploy/upgrade.sh gives.
export BUILDX_NO_DEFAULT_ATTESTATIONS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

## Run it

.PHONY: demo
demo: $(STAMP) ## everything on this machine against the simulator; PORT=8000 moves it, Ctrl-C stops it
	@$(BIN)/python -m launcher demo

.PHONY: run
run: $(STAMP) ## the same against the real upstreams
	@$(BIN)/python -m launcher run

.PHONY: tail
tail: $(STAMP) ## print a service's Redis channel: make tail SERVICE=market_data (JSON=1 for raw messages)
	@$(BIN)/python -m commands.tail $(SERVICE) $(if $(JSON),--json)

## Deploy it

.PHONY: up
up: ## the deployment, built, started and healthy: docker compose up (DEMO=1 on the simulator)
	docker compose up --detach --build --wait

.PHONY: down
down: ## stop the deployment and remove its containers; its data stay (DEMO=1)
	docker compose down

.PHONY: logs
logs: ## follow the deployment's logs: make logs PART=gateway (DEMO=1)
	docker compose logs --follow --tail 100 $(PART)

.PHONY: scale
scale: ## so many gateways: make scale GATEWAYS=5; GATEWAYS in .env makes it last (DEMO=1)
	docker compose up --detach --wait --no-recreate --scale gateway=$(GATEWAYS) gateway

.PHONY: upgrade
upgrade: ## what changed, built and started part by part, gateways one after another: clients lose nothing (DEMO=1)
	sh deploy/upgrade.sh

.PHONY: credentials
credentials: ## passwords and rights that changed, told to Redis and PostgreSQL while they run (DEMO=1)
	sh deploy/credentials.sh

## What was recorded

.PHONY: export
export: $(STAMP) ## recorded updates as a file: make export SERVICE=news FORMAT=csv (jsonl, parquet) FROM=2026-11-01 TO=2026-11-23
	@$(BIN)/python -m commands.export $(SERVICE) --format "$(FORMAT)" --from "$(FROM)" --to "$(TO)" --out "$(OUT)" $(if $(FORCE),--force)

.PHONY: backup
backup: $(STAMP) ## everything recorded, in one file with a checksum (OUT=file)
	@$(BIN)/python -m commands.backup "$(OUT)" $(if $(FORCE),--force)

.PHONY: restore
restore: $(STAMP) ## a backup, verified, then inserted: make restore FILE=file (MERGE=1, REPLACE=1)
	@$(BIN)/python -m commands.restore "$(FILE)" $(if $(MERGE),--merge) $(if $(REPLACE),--replace)

## Work on it

.PHONY: check
check: lint test test-slow ## all that CI runs, but for what needs a Docker engine (test-compose)

.PHONY: test
test: $(STAMP) node-modules ## the tests, without the slow ones: under three minutes
	$(BIN)/python -m pytest -m "not slow and not compose" -n 3 --dist loadfile $(ARGS)

.PHONY: test-slow
test-slow: $(STAMP) node-modules ## the slow tests: whole clusters, killed, paused and cut
	$(BIN)/python -m pytest -m "slow and not compose" $(ARGS)

.PHONY: test-compose
test-compose: $(STAMP) ## the deployment on a Docker engine: up, scaled, rolled, killed part by part
	$(BIN)/python -m pytest -m compose $(or $(ARGS),tests/compose)

.PHONY: bench
bench: $(STAMP) ## what a broadcast costs, as a ratio to ASGI's websocket.send (ARGS="--clients 500")
	$(BIN)/python -m benchmarks.broadcast $(ARGS)

.PHONY: lint
lint: $(STAMP) ## ruff, mypy --strict, who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## rewrite the sources as ruff formats them
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: install
install: $(STAMP) ## make .venv from requirements-dev.lock

.PHONY: lock
lock: ## write both requirements locks anew from pyproject.toml
	@$(require_python)
	$(PYTHON) .ci/lock.py

.PHONY: node-lock
node-lock: ## write tests/node/package-lock.json anew from its package.json
	@$(require_python)
	$(PYTHON) .ci/node_lock.py

.PHONY: swagger-ui
swagger-ui: ## refresh the Swagger UI in gateway/docs/swagger_ui from npm (VERSION=5.35.0; the newest by default)
	@$(require_python)
	$(PYTHON) .ci/swagger_ui.py swagger-ui-dist@$(or $(VERSION),latest)

.PHONY: node-modules
node-modules: $(NODE_STAMP) ## what the JavaScript tests need, where npm is installed

.PHONY: clean
clean: ## remove everything that is made: .venv, caches, the demo's data
	rm -rf .venv .coinwire .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

define require_python
$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' || { \
	echo "coinwire needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1; }
endef

# Made from nothing whenever the lock changes: what is no longer locked is then no longer there.
$(STAMP): requirements-dev.lock
	@$(require_python)
	@echo "making .venv from requirements-dev.lock"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

$(NODE_STAMP): tests/node/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/node --loglevel=error --no-audit --no-fund && touch $@; \
	else \
		echo "npm is not installed: the tests of JavaScript clients are skipped"; \
	fi
