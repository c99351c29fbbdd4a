# Two commands do everything on a fresh Debian or Ubuntu machine: make demo, make test. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV ?= .venv
PYTHON ?= python3
ARCHIVE ?= .demo/archive
PORT ?= 8080
ROUNDS ?= 200
FUZZ_SECONDS ?= 12
JOBS ?= $(shell nproc)
BIN := $(VENV)/bin
CORE_SOURCES := $(shell find core bindings -name '*.[ch]pp' -o -name '*.inc' -o -name '*.pyx' -o -name CMakeLists.txt)
CXX_FILES := $(shell find core bindings -name '*.[ch]pp')

.PHONY: help system-packages test-packages dev build demo test test-python test-core check check-viewer format bench torture fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

system-packages: ## install the Debian packages that building and running need
	@.ci/install-packages .ci/debian-packages.txt

test-packages: ## the same for the tests
	@.ci/install-packages .ci/debian-packages.txt .ci/debian-test-packages.txt

$(BIN)/python: | system-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "hilum needs Python 3.11 or newer: make PYTHON=python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

.stamp-run: pyproject.toml setup.py $(CORE_SOURCES) | $(BIN)/python
	$(BIN)/pip install --quiet 'setuptools>=77' 'pybind11>=3.0' 'Cython>=3.1' numpy
	HILUM_BUILD_JOBS=$(JOBS) $(BIN)/pip install --quiet --no-build-isolation --editable .
	@touch $@

.stamp-dev: pyproject.toml .stamp-run
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[test,check]'
	@touch $@

build: .stamp-run ## build the engine and install hilum into .venv

dev: .stamp-dev ## everything a developer needs in .venv

demo: .stamp-run ## import the sample studies and serve the viewer
	$(BIN)/hilum import --archive $(ARCHIVE) tests/data/demo
	@echo "hilum: open http://127.0.0.1:$(PORT)/ in a browser; stop with Ctrl-C"
	exec $(BIN)/hilum serve --archive $(ARCHIVE) --port $(PORT)

build/core/build.ninja: core/CMakeLists.txt | test-packages
	cmake -S core -B build/core -G Ninja -DCMAKE_BUILD_TYPE=Debug -DHILUM_SANITIZE=ON >/dev/null

test-core: build/core/build.ninja ## build the core alone with ASan and UBSan and run its tests
	ninja -C build/core -j $(JOBS) --quiet
	ctest --test-dir build/core --output-on-failure

build/fuzz/build.ninja: core/CMakeLists.txt | test-packages
	CXX=clang++ cmake -S core -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DHILUM_FUZZ=ON >/dev/null

fuzz: build/fuzz/build.ninja ## fuzz every parser for FUZZ_SECONDS
	ninja -C build/fuzz -j $(JOBS) --quiet
	core/fuzz/run $(FUZZ_SECONDS)

test-python: .stamp-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup
	$(BIN)/python -m pytest benchmarks/bench_*.py --benchmark-disable -q

test: | test-packages ## everything that CI runs
	$(MAKE) dev
	$(MAKE) check
	$(MAKE) test-core
	$(MAKE) fuzz
	$(MAKE) test-python

format: .stamp-dev ## format Python and C++
	$(BIN)/ruff format python tests benchmarks core/tools setup.py
	$(BIN)/ruff check --fix python tests benchmarks core/tools setup.py
	$(BIN)/clang-format -i $(CXX_FILES)

check: .stamp-dev ## format, lint, types, import layers, stubs
	$(BIN)/ruff format --check python tests benchmarks core/tools setup.py
	$(BIN)/ruff check python tests benchmarks core/tools setup.py
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest --allowlist .ci/stubtest-allowlist.txt --ignore-unused-allowlist hilum._core hilum._keys hilum._multipart
	$(MAKE) check-viewer

check-viewer: ## types of the viewer's modules, where npm is at hand
	@export PATH="$(abspath $(BIN)):$$PATH"; if command -v npm >/dev/null; then .ci/check-viewer; else echo "hilum: no npm here, types of the viewer not checked"; fi

bench: .stamp-dev ## benchmarks, peers side by side
	$(BIN)/pip install --quiet --no-build-isolation --editable '.[test,bench]'
	$(BIN)/python -m pytest benchmarks/bench_*.py --benchmark-only

torture: .stamp-dev ## ROUNDS of kill -9 and of power cuts (root)
	$(BIN)/python -m tests.torture --kills $(ROUNDS) --cuts $(ROUNDS)

clean:
	rm -rf build .venv .demo .stamp-* python/*.egg-info
	find python -name '*.so' -delete
