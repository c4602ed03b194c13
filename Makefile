# hod: make, make test, make demo are for users; CONTRIBUTING.md tells the rest.
VERSION := 0.1.0
O ?= build
ifeq ($(origin CC),default)
CC := gcc
endif
PREFIX ?= /usr/local
PKG_CONFIG ?= pkg-config

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings \
	-Wformat=2 -Wpointer-arith -Wimplicit-fallthrough -Wundef -Wvla -fno-common $(WERROR)
OPT ?= -O2 -g
HARDEN ?= -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	$(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
HARDEN_LD ?= -pie -Wl,-z,relro,-z,now,-z,noexecstack
LIBS := libarchive libisal zlib libcrypto libcurl libcjson libzstd libseccomp
CPPFLAGS += -I. -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DHOD_VERSION='"$(VERSION)"' \
	-include registry/base/banned.h
CFLAGS_ALL = -std=c17 $(OPT) $(WARN) $(HARDEN) -fPIE -pthread -ffile-prefix-map=$(CURDIR)=. \
	-MMD -MP $(shell $(PKG_CONFIG) --cflags $(LIBS)) $(CFLAGS)
LDLIBS = $(shell $(PKG_CONFIG) --libs $(LIBS)) -lm
LINK = $Q$(CC) $(OPT) $(HARDEN_LD) -pthread $(LDFLAGS) -o $@

objs = $(patsubst %.c,$O/%.o,$(filter-out %_test.c %_fuzz.c,$(wildcard $(1:%=%/*.c))))
PARSER := $(call objs,parser)
BASE := $(call objs,registry/base)
REGISTRY := $(BASE) $(call objs,registry)
ROOTFS := $(REGISTRY) $(call objs,builder/rootfs)
SANDBOX := $(BASE) $(call objs,builder/sandbox)
BUILDER := $(ROOTFS) $(call objs,builder/sandbox) $(PARSER) $(filter-out $O/builder/hod.o,$(call objs,builder builder/cmd))
TESTS := $(patsubst %.c,$O/%,$(wildcard parser/*_test.c registry/base/*_test.c \
	registry/*_test.c builder/*_test.c builder/rootfs/*_test.c builder/sandbox/*_test.c \
	builder/cmd/*_test.c))
FUZZERS := $(patsubst %.c,$O/%,$(wildcard */*_fuzz.c */*/*_fuzz.c))
JOBS ?= $(shell nproc)
# V=1 shows the commands.
Q := $(if $(V),,@)
say = @$(if $(V),:,echo) '  '

all: $O/hod

$O/hod: $O/builder/hod.o $(BUILDER)
	$(say) link $@
	$(LINK) $^ $(LDLIBS)

# Each test links only what its folder may use: a wrong direction does not link.
$O/parser/%_test: $O/parser/%_test.o $(PARSER)
	$(say) link $@
	$(LINK) $^ -lcmocka
$O/registry/base/%_test: $O/registry/base/%_test.o $(BASE)
	$(say) link $@
	$(LINK) $^ $(LDLIBS) -lcmocka
$O/registry/%_test: $O/registry/%_test.o $(REGISTRY)
	$(say) link $@
	$(LINK) $^ $(LDLIBS) -lcmocka
$O/builder/rootfs/%_test: $O/builder/rootfs/%_test.o $(ROOTFS)
	$(say) link $@
	$(LINK) $^ $(LDLIBS) -lcmocka
$O/builder/sandbox/%_test: $O/builder/sandbox/%_test.o $(SANDBOX)
	$(say) link $@
	$(LINK) $^ $(LDLIBS) -lcmocka
$O/builder/%_test: $O/builder/%_test.o $(BUILDER)
	$(say) link $@
	$(LINK) $^ $(LDLIBS) -lcmocka

$O/%_fuzz: $O/%_fuzz.o $(BUILDER)
	$(say) link $@
	$(LINK) -fsanitize=fuzzer $^ $(LDLIBS)

$O/%.o: %.c
	@mkdir -p $(@D)
	$(say) cc $<
	$Q$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

deps-%:
	@testdata/deps $*

# The fast set: unit tests, again under ASan and UBSan, threads under TSan, then the
# whole program against real registries.
test: deps-build deps-test
	+@$(PARALLEL) WERROR=-Werror all unit-tests
	@O=$O testdata/run-tests fast

test-all: deps-build deps-test deps-lint
	+@$(PARALLEL) WERROR=-Werror all unit-tests
	@O=$O testdata/run-tests all

unit-tests: $(TESTS)
fuzzers: $(FUZZERS)

# The same rules in folders of their own; `make -j` reaches them through the +.
PARALLEL = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(JOBS))
SANITIZE = $(PARALLEL) HARDEN= WERROR=-Werror
asan:
	+@$(SANITIZE) O=$O/asan OPT='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all' \
		all unit-tests
tsan:
	+@$(SANITIZE) O=$O/tsan OPT='-O1 -g -fsanitize=thread' $(or $(TSAN_GOALS),all unit-tests)
clang:
	+@$(PARALLEL) O=$O/clang CC=clang WERROR=-Werror all unit-tests
fuzz-build:
	+@$(SANITIZE) O=$O/fuzz CC=clang \
		OPT='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' fuzzers

fuzz: deps-build deps-lint fuzz-build
	@testdata/run-fuzz $O/fuzz

demo: deps-build deps-demo
	+@$(PARALLEL) all
	@testdata/demo
bench: deps-build deps-bench
	+@$(PARALLEL) all
	@testdata/bench

lint: deps-build deps-lint
	@testdata/lint

install: all
	$Qinstall -D -m 0755 $O/hod $(DESTDIR)$(PREFIX)/bin/hod
	$Qfor page in man/*.[1-8]; do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; \
	done

clean:
	rm -rf $O

-include $(shell find $O -name '*.d' 2>/dev/null)
.SECONDARY:
.PHONY: all test test-all unit-tests fuzzers asan tsan clang fuzz fuzz-build demo bench lint install clean
