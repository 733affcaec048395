# make demo    set up, build, start an application with a simulated TEE, and verify it as a stranger would
# make test    set up, build, and run all tests (mutations and differential runs in their short, seeded form); the last line
#              counts them
# make lint    formatting and the rules of the house
# make check-api   the public interface against the lists in docs/api; Scripts/check-api --update writes them
# make soak    the long forms of attacks on running services, on this machine's loopback interface
# make fuzz    the full number of mutations, the full differential run, and coverage-guided fuzzing of every parser
# make sanitize   tests of parsers, C shims and servers with the address, undefined behaviour and thread sanitizers; each is a
#              build of its own, KIND=thread makes one of them
# make bench   speed beside dcap-qvl (verification), nginx (guest agent) and bare mutual TLS, each in one run on this machine
# make build   release builds of all programs, into .build/release; the Swift libraries are inside them
# make install the programs, manual pages, completions and systemd units to PREFIX (/usr/local), below DESTDIR if that is set
# make man     manual pages of all programs, into .build/man

SWIFT ?= swift
# CI sets STRICT=1: warnings are errors.
STRICT ?=
FLAGS := $(if $(STRICT),-Xswiftc -warnings-as-errors -Xcc -Werror -Xcxx -Werror)
SEED ?= 1
COUNT ?= 100000
# For each parser.
FUZZ_SECONDS ?= 30
# Of sanitizers: address, undefined, thread; all of them where it is empty.
KIND ?=
PREFIX ?= /usr/local
DESTDIR ?=
# One and the same for all release builds: another one compiles everything anew. Programs start without the toolchain then.
RELEASE := -c release --static-swift-stdlib
# By name: what tests share is no part of a release, and needs the toolchain's own testing library.
PROGRAMS := dstack dstack-verifier dstack-auth dstack-kms dstack-guest-agent dstack-simulator attested-service attested-client five-minutes verify-quote

.PHONY: demo test soak lint check-api fuzz sanitize bench build install man setup setup-test commit clean

setup:
	@Scripts/setup build

setup-test:
	@Scripts/setup test

# The commit goes into --version, and into the agent's Version in the form that upstream's have; the file changes only when
# the commit does.
commit:
	@new='#define DSTACK_COMMIT "'$$(git describe --always --exclude='*' --dirty=-modified --abbrev=20 2>/dev/null || echo unknown)'"'; \
	file=Sources/Support/C/CBuildInfo/commit.h; \
	[ "$$(cat $$file 2>/dev/null)" = "$$new" ] || echo "$$new" > $$file

build: setup commit
	@for product in $(PROGRAMS); do \
		echo "$(SWIFT) build $(RELEASE) --product $$product"; \
		$(SWIFT) build $(RELEASE) --product $$product $(FLAGS) || exit; \
	done

# Does not build: that is not for root.
install:
	@Scripts/install "$(PREFIX)" "$(DESTDIR)"

test: setup-test commit
	$(SWIFT) build --build-tests $(FLAGS)
	Scripts/check-products
	@Scripts/test

soak: setup-test commit
	$(SWIFT) build --build-tests $(FLAGS)
	DSTACK_SOAK=1 Scripts/test --jobs 1 --filter '.*SoakTests'

lint:
	$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests Benchmarks Examples
	Scripts/check-products

check-api: setup commit
	$(SWIFT) build $(FLAGS)
	Scripts/check-api

demo: setup commit
	@for product in dstack dstack-verifier dstack-simulator attested-service; do \
		echo "$(SWIFT) build $(RELEASE) --product $$product"; \
		$(SWIFT) build $(RELEASE) --product $$product $(FLAGS) || exit; \
	done
	@Scripts/demo

fuzz: setup-test commit
	$(SWIFT) build $(RELEASE) --product dstack-fuzz $(FLAGS)
	.build/release/dstack-fuzz --seed $(SEED) --count $(COUNT)
	Scripts/differential --seed $(SEED)
	Scripts/fuzz-parsers --seed $(SEED) --seconds $(FUZZ_SECONDS)

sanitize: setup-test commit
	@Scripts/sanitize $(KIND)

bench: setup-test commit
	@Scripts/setup bench
	PATH="$(CURDIR)/.venv/bin:$$PATH" Benchmarks/verification
	Benchmarks/agent
	Benchmarks/mutual-tls

# Manual pages of all programs, from their declarations, to be installed under share/man/man1.
man: build
	@mkdir -p .build/man/man1
	@for program in dstack dstack-verifier dstack-auth dstack-kms dstack-guest-agent dstack-simulator; do \
		.build/release/$$program man > .build/man/man1/$$program.1 && echo .build/man/man1/$$program.1 || exit; \
	done

clean:
	@[ ! -x .build/release/dstack ] || Scripts/demo down
	rm -rf .build .build-* .venv
