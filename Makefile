# SPDX-License-Identifier: Apache-2.0
# The one list of commands. `make` alone shows it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
# Those of the packages that exist, so that a tool never meets a missing folder
PACKAGES := $(wildcard agent bpf common consumer history lake schemas wirelag)
CHECKED := $(PACKAGES) $(wildcard demo bench/*.py tests/support tests/fuzz bench/produce bench/latency tests/conftest.py deploy/*.py)
C_SOURCES := $(wildcard bpf/*.c bpf/*.h)

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing: Debian packages, .venv
	@scripts/setup

.PHONY: demo
demo: ## two hosts, real traffic, the whole way to the answer, on this machine (root)
	@exec scripts/demo

.PHONY: test
test: ## every test, with BPF in the kernel and a real Kafka (root)
	@scripts/setup --kafka --programs
	$(PYTHON) -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

.PHONY: test-fast
test-fast: ## the tests that need neither root nor Kafka, within a minute
	@scripts/setup
	$(PYTHON) -m pytest -n auto -m "not kernel and not kafka and not browser and not spark and not slow" $(PYTEST_ARGS)

.PHONY: test-kernels
test-kernels: ## every backend on Linux 6.1 and 6.12 under QEMU, then two hosts with clocks of their own, 15 minutes (root)
	@scripts/setup --kafka
	exec scripts/test-kernels $(KERNELS)

.PHONY: lint
lint: ## ruff, mypy --strict, clang-format
	@scripts/setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(CHECKED)
	$(if $(C_SOURCES),.venv/bin/clang-format --dry-run --Werror $(C_SOURCES))

.PHONY: format
format: ## write what lint would ask for
	@scripts/setup
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format .
	$(if $(C_SOURCES),.venv/bin/clang-format -i $(C_SOURCES))

.PHONY: kafka
kafka: ## a real one-node Apache Kafka in the foreground, with wirelag's topics
	@exec scripts/kafka $(KAFKA_ARGS)

.PHONY: bench
bench: bench-kernel bench-agent bench-harm bench-rate bench-host bench-size bench-consumer bench-spool bench-lake bench-produce bench-latency ## every benchmark (root)

.PHONY: bench-kernel
bench-kernel: ## cost of one event in the kernel (root)
	@scripts/setup
	$(PYTHON) -m bench.kernel

.PHONY: bench-agent
bench-agent: ## cost of one event in the agent's process (root)
	@scripts/setup
	$(PYTHON) -m bench.agent

.PHONY: bench-harm
bench-harm: ## what tracing takes from Redis, against a bpftrace script too, 10 minutes (root)
	@scripts/setup --programs
	$(PYTHON) -m bench.harm

.PHONY: bench-rate
bench-rate: ## the highest rate of events at which none is lost, 8 minutes (root)
	@scripts/setup --programs
	$(PYTHON) -m bench.rate

.PHONY: bench-consumer
bench-consumer: ## events a second through the consumer, recorded traffic replayed (root)
	@scripts/setup --kafka
	mkdir -p .cache/bench
	$(PYTHON) -m bench.recorded.capture .cache/bench/recorded
	$(PYTHON) -m bench.consumer --recorded .cache/bench/recorded

.PHONY: bench-produce
bench-produce: ## the way to Kafka, against librdkafka's own C interface, 3 minutes
	@scripts/setup --kafka --programs
	$(PYTHON) -m bench.produce

.PHONY: bench-host
bench-host: ## CPU, memory and bytes a day of an idle and of a lightly used host (root)
	@scripts/setup
	$(PYTHON) -m bench.host

.PHONY: bench-size
bench-size: ## bytes of one event in Kafka against rows, Arrow and Parquet
	@scripts/setup
	$(PYTHON) -m bench.size

.PHONY: bench-spool
bench-spool: ## how fast the agent's spool writes, beside the disk's own limit
	@scripts/setup
	$(PYTHON) -m bench.spool

.PHONY: bench-lake
bench-lake: ## how long a lake of 50,000 commits takes to open, 20 minutes
	@scripts/setup
	$(PYTHON) -m bench.lake_open

.PHONY: bench-latency
bench-latency: ## matching and histograms against DuckDB, ClickHouse and ddsketch; solving clocks
	@scripts/setup --bench
	$(PYTHON) -m bench.latency

.PHONY: faults
faults: ## the fault matrix: what was produced against what was stored; writes docs/faults.md (root)
	@scripts/setup --kafka
	mkdir -p .cache/faults
	rm -f .cache/faults/outcomes.jsonl
	status=0
	$(PYTHON) -m pytest tests/faults --faults-to .cache/faults/outcomes.jsonl $(PYTEST_ARGS) || status=$$?
	$(PYTHON) -m deploy.faults_page .cache/faults/outcomes.jsonl > .cache/faults/page.md
	[ $$status -ne 0 ] || cp .cache/faults/page.md docs/faults.md
	exit $$status

FUZZ_SECONDS := 60

.PHONY: fuzz
fuzz: ## fuzz all that reads bytes from outside; FUZZ_SECONDS=600 for each target, FUZZ=toml for one
	@scripts/setup
	PYTHONPATH=.:tests $(PYTHON) -m fuzz.main --seconds $(FUZZ_SECONDS) --corpus .cache/fuzz/corpus --crashers .cache/fuzz $(FUZZ)

.PHONY: docs
docs: ## write docs/wire-format.md and docs/metrics.md from the code
	@scripts/setup
	mkdir -p docs
	$(PYTHON) -m schemas.document > docs/wire-format.md.new
	mv docs/wire-format.md.new docs/wire-format.md
	$(PYTHON) -m deploy.metrics_page > docs/metrics.md.new
	mv docs/metrics.md.new docs/metrics.md

.PHONY: clean
clean: ## remove what the commands above made, except .venv and .cache
	@rm -rf .demo dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
