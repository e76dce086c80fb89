# SPDX-License-Identifier: BSD-2-Clause
#
# What: the front door. Each target brings what it needs, from missing Debian packages on; `make help` lists them.
# The build itself is CMake's: `cmake --preset release` does the same without this file.

PRESET ?= release
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)
BUILD := build/$(PRESET)

.PHONY: build configure deps demo test bench install uninstall docs package fuzz others soak format lint clean help

build: configure ## build everything, build/release (the default; PRESET= takes another preset)
	cmake --build $(BUILD) -j $(JOBS)

configure: deps
	cmake --preset $(PRESET)

deps:
	scripts/install-deps.sh build

demo: ## build what it needs, then a BSD kqueue server and the tool at work
	scripts/install-deps.sh demo
	+$(MAKE) --no-print-directory configure
	cmake --build $(BUILD) -j $(JOBS) --target demo
	scripts/demo.sh $(BUILD)

test: build ## build, then every test
	ctest --preset $(PRESET) -j $(JOBS)

bench: ## build, then measure every promise against the raw mechanism
	scripts/install-deps.sh bench
	+$(MAKE) --no-print-directory configure
	cmake --build $(BUILD) -j $(JOBS) --target benchmarks
	bench/run.sh $(BUILD)

install: configure ## build what it takes, install below PREFIX (/usr/local)
	cmake --build $(BUILD) -j $(JOBS) --target installable
	DESTDIR="$(DESTDIR)" cmake --install $(BUILD) --prefix "$(PREFIX)"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

uninstall: ## remove what `make install` with the same PREFIX put there
	scripts/uninstall.sh "$(BUILD)" "$(DESTDIR)$(PREFIX)"

docs: ## the manual as HTML, build/docs/index.html
	scripts/install-deps.sh docs
	scripts/docs.sh build/docs

package: ## Debian packages and a tarball of the binaries, build/package
	scripts/install-deps.sh package
	scripts/package.sh build/package

FUZZ_SECONDS ?= 60
fuzz: ## build libFuzzer's targets and run each for a minute
	scripts/install-deps.sh ci
	scripts/fuzz.sh $(FUZZ_SECONDS)

others: build ## the builds for other users and machines: no exceptions, static, musl, 32 bit, arm64
	scripts/install-deps.sh other
	scripts/other-builds.sh

SOAK_OPERATIONS ?= 100000000
SOAK_SECONDS ?= 600
soak: build ## hours: each model 10^8 operations long, the storm ten minutes in each of three builds
	scripts/install-deps.sh ci
	scripts/soak.sh $(SOAK_OPERATIONS) $(SOAK_SECONDS)

format: ## lay out all sources by .clang-format
	scripts/install-deps.sh format
	scripts/format.sh

lint: ## clang-tidy, shellcheck, mandoc
	scripts/install-deps.sh lint
	cmake --preset clang
	scripts/lint.sh

clean: ## remove everything built
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
