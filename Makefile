# Gatepost. `make run` tries it, `make check` tests it; README.md says more.
#
# A program is a file FOLDER/NAME_main.c; it is linked with the rest of its folder and with common/.
# A unit test is a file tests/unit/FOLDER/test_NAME.c; it is linked with that folder's archive and
# those to its left. A fuzz target is a file tests/fuzz/fuzz_NAME.c; it is linked with every archive.
# Nothing is listed here by hand.

SANITIZE ?=
WERROR ?=
SECONDS ?= 60

# Where `make install` puts things; programs know these places too. DESTDIR goes before all of them.
prefix ?= /usr
sbindir ?= $(prefix)/sbin
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
daemondir ?= $(libdir)/gatepost
mandir ?= $(prefix)/share/man
datadir ?= $(prefix)/share/gatepost
sysconfdir ?= /etc
confdir ?= $(sysconfdir)/gatepost
queuedir ?= /var/spool/gatepost
unitdir ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d

ifeq ($(SANITIZE),)
BUILD ?= build
HARDENING = -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection \
	-Wframe-larger-than=2048 -fPIE
LINK_HARDENING = -pie -Wl,-z,relro,-z,now
else
comma := ,
BUILD ?= build-$(subst $(comma),-,$(SANITIZE))
HARDENING = -O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fPIE
LINK_HARDENING = -pie -fsanitize=$(SANITIZE)
endif

CFLAGS ?= -g
DIALECT = -std=c11 -D_GNU_SOURCE -I.
ALL_CFLAGS = $(DIALECT) -MMD -MP -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wpointer-arith -Wwrite-strings $(HARDENING) $(CPPFLAGS) $(CFLAGS)
LIBRARIES = -lev -lseccomp -lpcre2-8 -ldb -lbsd -lmd -lunbound -lpthread -lm
LINK = $(CC) $(LINK_HARDENING) $(LDFLAGS)
# In a recipe: sub-makes run as many jobs as there are processors, unless -j said otherwise.
MAKE_JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

LAYERS = base log task net ipc conf dict mail queue service
PROGRAM_FOLDERS = master smtpd cleanup rewrite qmgr smtp local bounce postdrop support admin

folder_sources = $(filter-out %_main.c,$(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
archive = $(BUILD)/lib/$(subst /,-,$(1)).a

COMMON_ARCHIVES = $(foreach l,$(LAYERS),$(if $(call folder_sources,common/$(l)),$(call archive,common/$(l))))
MAINS = $(wildcard $(PROGRAM_FOLDERS:%=%/*_main.c))
PROGRAMS = $(patsubst %_main.c,$(BUILD)/bin/%,$(notdir $(MAINS)))
UNIT_TESTS = $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*/test_*.c))
FUZZ_TARGETS = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

PLACES = -DCOMMAND_DIRECTORY='"$(sbindir)"' -DUSER_DIRECTORY='"$(bindir)"' -DDAEMON_DIRECTORY='"$(daemondir)"' \
	-DCONFIG_DIRECTORY='"$(confdir)"' -DQUEUE_DIRECTORY='"$(queuedir)"'

# Written when they changed; what depends on them is then built anew. -Werror is no such change.
define remember
ifneq "$$(file <$(BUILD)/$(1))" "$(strip $(2))"
$$(shell mkdir -p $(BUILD))
$$(file >$(BUILD)/$(1),$(strip $(2)))
endif
endef
$(eval $(call remember,flags,$(ALL_CFLAGS) $(LINK)))
$(eval $(call remember,places,$(sbindir) $(bindir) $(daemondir) $(confdir) $(queuedir)))
$(eval $(call remember,sources,$(sort $(wildcard common/*/*.c $(PROGRAM_FOLDERS:%=%/*.c)))))

# Begins a recipe's line: one short line a step; make V=1 shows the commands.
step = $(if $(V),,@echo "  $(1)" && )

# Second names of programs, as Postfix has them.
second_name = $(if $(filter %/$(2),$(PROGRAMS)),$(1))
SECOND_NAMES = $(call second_name,postfix,gatepost) $(call second_name,mailq,sendmail)

all: $(PROGRAMS) $(SECOND_NAMES:%=$(BUILD)/bin/%)

$(BUILD)/bin/postfix: | $(BUILD)/bin/gatepost
	@ln -sf gatepost $@
$(BUILD)/bin/mailq: | $(BUILD)/bin/sendmail
	@ln -sf sendmail $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call step,CC $<)$(CC) $(ALL_CFLAGS) $(if $(WERROR),-Werror) $(if $(filter tests/%,$<),-Wno-frame-larger-than) $(EXTRA_$(basename $(notdir $@))) -c -o $@ $<

# glibc's fortified longjmp aborts a jump between stacks.
$(BUILD)/obj/common/task/switch.o: EXTRA_switch = -U_FORTIFY_SOURCE
$(BUILD)/obj/common/conf/parameters.o: EXTRA_parameters = $(PLACES)
$(BUILD)/obj/common/conf/parameters.o: $(BUILD)/places

define archive_rule
$(call archive,$(1)): $(call objects,$(call folder_sources,$(1))) $(BUILD)/sources
	@mkdir -p $$(@D)
	@rm -f $$@
	$(call step,AR $$@)$(AR) rcs $$@ $$(filter %.o,$$^)
endef
$(foreach f,$(addprefix common/,$(LAYERS)) $(PROGRAM_FOLDERS),$(eval $(call archive_rule,$(f))))

define program_rule
$(BUILD)/bin/$(patsubst %_main.c,%,$(notdir $(1))): $(call objects,$(1)) $(call archive,$(patsubst %/,%,$(dir $(1)))) $(COMMON_ARCHIVES)
	@mkdir -p $$(@D)
	$(call step,LINK $$@)$(LINK) -o $$@ $(call objects,$(1)) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -Wl,--as-needed $(LIBRARIES)
endef
$(foreach m,$(MAINS),$(eval $(call program_rule,$(m))))

# The page with the list of all parameters in it.
all: $(BUILD)/man/main.cf.5
$(BUILD)/man/main.cf.5: docs/main.cf.5 common/conf/parameters.def scripts/parameter-list $(BUILD)/places
	@mkdir -p $(@D)
	@sed -e 's|COMMAND_DIRECTORY|"$(sbindir)"|; s|USER_DIRECTORY|"$(bindir)"|; s|DAEMON_DIRECTORY|"$(daemondir)"|' \
		-e 's|CONFIG_DIRECTORY|"$(confdir)"|; s|QUEUE_DIRECTORY|"$(queuedir)"|; s|" "||' \
		common/conf/parameters.def >$@.def
	$(call step,MAN $@)scripts/parameter-list $@.def >$@.list
	@sed '/^\.\\" make puts/r $@.list' docs/main.cf.5 >$@.new
	@mv $@.new $@

# Archives to the left of and including layer $(1).
layers_up_to = $(if $(filter $(1),$(firstword $(2))),$(1),$(firstword $(2)) $(call layers_up_to,$(1),$(wordlist 2,99,$(2))))
test_folder = $(word 3,$(subst /, ,$(1)))
test_archives = $(if $(filter $(1),$(LAYERS)),\
	$(foreach l,$(call layers_up_to,$(1),$(LAYERS)),$(if $(call folder_sources,common/$(l)),$(call archive,common/$(l)))),\
	$(call archive,$(1)) $(COMMON_ARCHIVES))
define test_rule
$(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(1)): $(call objects,$(1)) $(call test_archives,$(call test_folder,$(1)))
	@mkdir -p $$(@D)
	$(call step,LINK $$@)$(LINK) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -Wl,--as-needed $(LIBRARIES) -lcmocka
endef
$(foreach t,$(wildcard tests/unit/*/test_*.c),$(eval $(call test_rule,$(t))))

# What a benchmark runs; no part of what is installed.
$(BUILD)/bench/store_load: $(call objects,bench/store_load.c bench/store_fill.c) $(COMMON_ARCHIVES)
	@mkdir -p $(@D)
	$(call step,LINK $@)$(LINK) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBRARIES)

# Without libFuzzer, replay.c feeds a target.
FUZZ_DRIVER = $(BUILD)/obj/tests/fuzz/replay.o
$(FUZZ_TARGETS): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(FUZZ_DRIVER) $(COMMON_ARCHIVES) \
		$(foreach f,$(PROGRAM_FOLDERS),$(call archive,$(f)))
	@mkdir -p $(@D)
	$(call step,LINK $@)$(LINK) $(FUZZ_ENGINE) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -Wl,--as-needed $(LIBRARIES)

unit-tests: $(UNIT_TESTS) fuzz-targets
fuzz-targets: $(FUZZ_TARGETS)

# Every unit test, and a few thousand inputs for every fuzz target.
UNIT_RUNS = $(UNIT_TESTS:$(BUILD)/%=run/%) $(FUZZ_TARGETS:$(BUILD)/%=run/%)
check-unit: $(UNIT_RUNS)
$(UNIT_RUNS): run/%: $(BUILD)/%
	@scripts/run-test $<

# The store's power cuts and faults with new seeds for SECONDS; FAULTS_SEED=N tries that one again.
check-faults: $(BUILD)/unit/queue/test_faults
	FAULTS_SECONDS=$(SECONDS) $<

# Stores that break their protocol on purpose must be found out by the store's own test.
check-bad-stores: $(call objects,tests/unit/queue/bad_store.c) $(call test_archives,queue)
	@COMPILE='$(CC) $(ALL_CFLAGS) -w -O0 -g0' LINK='$(CC) $(LINK_HARDENING) $(LDFLAGS)' \
		ARCHIVES='$(call test_archives,queue)' LIBRARIES='$(LIBRARIES)' \
		tests/unit/queue/check-bad-stores $(BUILD)

check-system: all
	BUILD_DIRECTORY="$(abspath $(BUILD))" /usr/bin/python3 -m pytest -q -rs -n 3 --dist loadfile tests/system

# Kills, power cuts, failed calls and full disks on whole instances, as root: JOBS instances side by side, nothing begun
# after SECONDS, ONLY one kind of fault or workload. crash.py --help says more.
$(BUILD)/faults/step: $(call objects,tests/faults/step.c)
	@mkdir -p $(@D)
	$(call step,LINK $@)$(LINK) -o $@ $<
CRASH = /usr/bin/python3 tests/faults/crash.py --build "$(abspath $(BUILD))"
check-crash: deps deps-test
	$(MAKE) $(MAKE_JOBS) all $(BUILD)/faults/step
	$(CRASH) $(if $(JOBS),--jobs $(JOBS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(filter command environment,$(origin SECONDS)),--seconds $(SECONDS))
# A few of them, and the judge on a ledger with a lie in it.
check-crash-smoke: all $(BUILD)/faults/step
	@$(CRASH) --smoke
	@tests/faults/check-judge $(CRASH)
# Suites that break their promises on purpose must be found out.
check-bad-suites: all $(BUILD)/faults/step
	@COMPILE='$(CC) $(ALL_CFLAGS) -w' LINK='$(CC) $(LINK_HARDENING) $(LDFLAGS)' \
		LIBRARIES='$(LIBRARIES)' tests/faults/check-bad-suites $(BUILD) $(CRASH)

check-layers:
	scripts/layers

check: deps deps-test
	$(MAKE) $(MAKE_JOBS) WERROR=1 all unit-tests
	$(MAKE) $(MAKE_JOBS) -k WERROR=1 check-layers check-unit check-bad-stores check-crash-smoke check-system

deps:
	@scripts/need-packages packages/build
# After deps, since apt runs once at a time.
deps-test deps-fuzz deps-lint: deps-%: deps
	@scripts/need-packages packages/$*

# Every fuzz target with clang's libFuzzer, for SECONDS in all. clang does not say that it has ASan.
fuzz: deps deps-fuzz
	$(MAKE) $(MAKE_JOBS) CC=clang BUILD=build-fuzz SANITIZE=address,undefined \
		CFLAGS="-g -D__SANITIZE_ADDRESS__ -fsanitize=fuzzer-no-link" \
		FUZZ_DRIVER= FUZZ_ENGINE=-fsanitize=fuzzer fuzz-targets
	scripts/fuzz build-fuzz $(SECONDS)

# Builds, starts an instance below run/ on 127.0.0.1:2525, sends it a message and shows it.
run: deps
	$(MAKE) $(MAKE_JOBS) all
	scripts/try "$(abspath $(BUILD))" "$(CURDIR)/run" 2525

stop:
	@if $(BUILD)/bin/gatepost -c "$(CURDIR)/run/etc" status >/dev/null 2>&1; then \
		$(BUILD)/bin/gatepost -c "$(CURDIR)/run/etc" stop; fi

bench-quick: deps deps-test all
	/usr/bin/python3 bench/bench.py --build "$(abspath $(BUILD))"

bench-store: deps $(BUILD)/bench/store_load
	/usr/bin/python3 bench/store.py --build "$(abspath $(BUILD))"

bench-backlog: deps deps-test all $(BUILD)/bench/store_load
	/usr/bin/python3 bench/backlog.py --build "$(abspath $(BUILD))"

lint: deps deps-lint check-layers
	scripts/lint $(DIALECT) $(PLACES)

format-check: deps-lint
	clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')

format: deps-lint
	clang-format -i $$(git ls-files '*.c' '*.h')

# A program with a page in section 1 is a command, any other is run by master.
INSTALLED_COMMANDS = $(foreach p,$(notdir $(PROGRAMS)),$(if $(wildcard docs/$(p).1),$(p)))
INSTALLED_SERVICES = $(filter-out $(INSTALLED_COMMANDS),$(notdir $(PROGRAMS)))
installation = DESTDIR='$(DESTDIR)' FORCE='$(FORCE)' build='$(BUILD)' sbindir='$(sbindir)' bindir='$(bindir)' \
	libdir='$(libdir)' daemondir='$(daemondir)' mandir='$(mandir)' datadir='$(datadir)' sysconfdir='$(sysconfdir)' \
	confdir='$(confdir)' queuedir='$(queuedir)' unitdir='$(unitdir)' sysusersdir='$(sysusersdir)' \
	commands='$(INSTALLED_COMMANDS)' services='$(INSTALLED_SERVICES)' second_names='$(SECOND_NAMES)'

install: all
	@$(installation) scripts/install

# The configuration, the queue, users and groups stay.
uninstall:
	@$(installation) scripts/install --remove

clean:
	rm -rf $(BUILD)

.PHONY: all install uninstall unit-tests fuzz-targets check check-unit check-bad-stores check-faults check-crash \
	check-crash-smoke check-bad-suites check-system check-layers deps deps-test deps-fuzz deps-lint run stop fuzz \
	bench-quick bench-store bench-backlog lint format format-check clean $(UNIT_RUNS)
.SECONDARY:

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
