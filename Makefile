# The only entry point, for people and for CI. `make` alone lists the targets.
# A bare clone needs Python 3.11 or newer and make; everything else goes into .venv.

PYTHON ?= python3
SERVICE ?= market_data
FORMAT ?= csv

BIN := .venv/bin
# .venv holds what runs coinwire, and for work on it what tests and checks it too.
RUNTIME := .venv/.runtime
STAMP := .venv/.installed
NODE_STAMP := tests/node/node_modules/.installed

GATEWAYS ?= 2
# Compose looks here for its files, in every command below and in deploy/*.sh.
ifdef DEMO
export COMPOSE_FILE := docker-compose.yml:docker-compose.demo.yml
endif
# See deploy/upgrade.sh.
export BUILDX_NO_DEFAULT_ATTESTATIONS := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

## Run it

.PHONY: demo
demo: $(RUNTIME) ## run everything here with simulated figures; PORT=8000 moves it, Ctrl-C stops it
	@$(BIN)/coinwire demo

.PHONY: run
run: $(RUNTIME) ## run the same with the real upstreams
	@$(BIN)/coinwire run

.PHONY: tail
tail: $(RUNTIME) ## print a service's Redis channel: SERVICE=market_data (JSON=1: raw messages)
	@$(BIN)/coinwire tail $(SERVICE) $(if $(JSON),--json)

.PHONY: check
check: $(RUNTIME) ## name what is wrong with settings, .env, Redis, the database or API keys
	@$(BIN)/coinwire check

## Deploy it (DEMO=1: with simulated figures)

.PHONY: up
up: ## build and start the deployment, and wait until it is healthy
	docker compose up --detach --build --wait

.PHONY: down
down: ## stop the deployment and remove its containers; keep its data
	docker compose down

.PHONY: logs
logs: ## follow the deployment's logs: PART=gateway
	docker compose logs --follow --tail 100 $(PART)

.PHONY: scale
scale: ## set the number of gateways: GATEWAYS=5; set it in .env to keep it
	docker compose up --detach --wait --no-recreate --scale gateway=$(GATEWAYS) gateway

.PHONY: upgrade
upgrade: ## build, then restart what changed part by part; clients lose nothing
	sh deploy/upgrade.sh

.PHONY: credentials
credentials: ## apply changed passwords and rights to running servers
	sh deploy/credentials.sh

## Use the history

.PHONY: export
export: $(if $(filter parquet,$(FORMAT)),$(STAMP),$(RUNTIME)) ## write updates to a file: SERVICE=news FORMAT=csv|jsonl|parquet FROM= TO= OUT=
	@$(BIN)/coinwire export $(SERVICE) --format "$(FORMAT)" --from "$(FROM)" --to "$(TO)" --out "$(OUT)" $(if $(FORCE),--force)

.PHONY: backup
backup: $(RUNTIME) ## write the whole history to one file with a checksum: OUT=file
	@$(BIN)/coinwire backup "$(OUT)" $(if $(FORCE),--force)

.PHONY: restore
restore: $(RUNTIME) ## verify a backup, then insert it: FILE=file (MERGE=1, REPLACE=1)
	@test -n "$(FILE)" || { echo "which file? make restore FILE=backups/NAME.backup" >&2; exit 2; }
	@$(BIN)/coinwire restore "$(FILE)" $(if $(MERGE),--merge) $(if $(REPLACE),--replace)

## Work on it

# Tests start hundreds of processes. If no compiled code may be kept, each of them compiles all that it imports.
test test-apart test-slow test-faults test-model test-compose test-redis: export PYTHONDONTWRITEBYTECODE =

.PHONY: test
test: $(STAMP) node-modules ## run the tests without the slow ones, in under three minutes
	$(BIN)/python -m pytest -m "not slow and not compose and not faults" -n 3 --dist loadfile $(ARGS)

.PHONY: test-apart
test-apart: $(STAMP) ## run the gateway's tests with WS_JOIN_UPDATES=false: one write per update
	WS_JOIN_UPDATES=false $(BIN)/python -m pytest -m "not slow and not compose" -n 3 --dist loadfile \
		$(or $(ARGS),tests/gateway tests/contract)

.PHONY: test-servers
test-servers: ## run make test on several servers: SERVERS="/opt/redis-6.2/bin /opt/valkey/bin"
	@test -n "$(SERVERS)" || { echo 'which servers? make test-servers SERVERS="folder folder"' >&2; exit 2; }
	@set -e; for folder in $(SERVERS); do \
		server=$$(ls "$$folder/redis-server" "$$folder/valkey-server" 2>/dev/null | head -n 1); \
		test -n "$$server" || { echo "no redis-server or valkey-server in $$folder" >&2; exit 2; }; \
		"$$server" --version; \
		PATH="$$folder:$$PATH" $(MAKE) --no-print-directory test; \
	done

.PHONY: test-slow
test-slow: $(STAMP) node-modules ## run the slow tests: whole clusters, killed, paused and cut off
	$(BIN)/python -m pytest -m "slow and not compose" $(ARGS)

.PHONY: test-faults
test-faults: $(STAMP) ## break what clusters stand on under clients that check every number (ARGS=all)
	$(if $(filter all,$(ARGS)),FAULTS_TABLE=docs/explanation/faults.json) $(BIN)/python -m pytest tests/faults \
		-m "$(if $(filter all,$(ARGS)),faults,faults and not long)" $(filter-out all,$(ARGS))

.PHONY: test-model
test-model: $(STAMP) ## try faults on a virtual clock for three minutes, by seeds
	@$(BIN)/python -m tests.model $(ARGS)

.PHONY: test-compose
test-compose: $(STAMP) ## test the deployment on a Docker engine: start, scale, upgrade, kill parts
	$(BIN)/python -m pytest -m compose $(or $(ARGS),tests/compose)

.PHONY: test-redis
test-redis: $(STAMP) node-modules ## run the contract on a Redis with Sentinels, then on a Redis Cluster
	@set -e; for redis in sentinel cluster; do \
		echo "on $$redis"; \
		COINWIRE_TEST_REDIS=$$redis $(BIN)/python -m pytest -m "not slow and not compose" -n 3 --dist loadfile \
			$(or $(ARGS),tests/contract tests/commands/test_tail.py); \
	done

.PHONY: bench
bench: $(STAMP) ## compare the gateway with others: cost, lateness, memory, losses; 40 minutes
	@$(BIN)/python -m benchmarks run $(ARGS)

.PHONY: bench-quick
bench-quick: $(STAMP) ## the same beside Centrifugo and a C loop only, in 8 minutes
	@$(BIN)/python -m benchmarks run --quick $(ARGS)

.PHONY: attacks
attacks: $(STAMP) ## attack a gateway; see what an innocent client notices (ARGS=pongs, ARGS=--list)
	@$(BIN)/python -m benchmarks.attacks $(ARGS)

.PHONY: lint
lint: $(STAMP) ## run ruff, mypy --strict and the import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## format the sources with ruff, and apply its safe fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(STAMP) ## write what documents and compose files list of the settings
	@$(BIN)/python .ci/docs.py

.PHONY: install
install: $(STAMP) ## install coinwire and all tools into .venv: .venv/bin/coinwire

.PHONY: lock
lock: ## regenerate both requirements locks from pyproject.toml
	@$(require_python)
	$(PYTHON) .ci/lock.py

.PHONY: node-lock
node-lock: ## regenerate package-lock.json of tests/node and benchmarks/programs
	@$(require_python)
	$(PYTHON) .ci/node_lock.py

.PHONY: swagger-ui
swagger-ui: ## refresh gateway/docs/swagger_ui from npm (VERSION=5.35.0; default: newest)
	@$(require_python)
	$(PYTHON) .ci/swagger_ui.py swagger-ui-dist@$(or $(VERSION),latest)

.PHONY: node-modules
node-modules: $(NODE_STAMP) ## install what the JavaScript tests need, if npm is installed

.PHONY: clean
clean: ## remove everything generated: .venv, caches, the demo's data
	rm -rf .venv .coinwire .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache tests/node/node_modules benchmarks/.installed
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

define require_python
$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 1)' || { \
	echo "coinwire needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1; }
endef

# Where the tools are installed too, they stay: a changed lock updates all of it.
$(RUNTIME): requirements-dev.lock
	@$(require_python)
	@sh .ci/install.sh "$(PYTHON)" $(if $(wildcard $(STAMP)),dev,runtime)
	@touch $@ $(wildcard $(STAMP))

$(STAMP): requirements-dev.lock
	@$(require_python)
	@sh .ci/install.sh "$(PYTHON)" dev
	@touch $@ $(RUNTIME)

$(NODE_STAMP): tests/node/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix tests/node --loglevel=error --no-audit --no-fund && touch $@; \
	else \
		echo "npm is not installed: the tests of JavaScript clients are skipped"; \
	fi
