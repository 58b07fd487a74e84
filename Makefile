# l4mesh: `make demo` shows a mesh, `make test` proves it. Each target is a tool call; see docs/testing.md.
PY = .venv/bin/python
NAT_TESTS = $(wildcard tests/unit/test_*nat*.py tests/unit/test_*stun*.py tests/unit/test_*punch*.py tests/unit/test_standing.py tests/unit/test_calls.py tests/unit/test_channel.py tests/unit/test_*meet*.py tests/unit/test_*assist*.py \
  tests/unit/test_*relay*.py tests/unit/test_*way*.py tests/unit/test_*beyond*.py tests/unit/test_*detour*.py tests/unit/test_*tcp*.py tests/unit/test_*portmap*.py \
  tests/sim/test_nat*.py tests/host/test_nat*.py tests/host/test_stun*.py tests/host/test_assists.py tests/host/test_relays.py tests/host/test_tcp_side.py tests/e2e/test_nat*.py)
help:            ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*##/\t/' | expand -t 18

demo: .venv/.$(if $(filter ble,$(SCENE)),ble,demo)    ## watch a mesh of 12 virtual boards for a minute; SCENE=ble or nat: another story
	$(PY) -m l4tools.demo$(if $(SCENE),.$(SCENE))

test: .venv/.test    ## all tests
	$(PY) -m pytest -n 3 --dist worksteal

lint: .venv/.test    ## ruff, floors, house rules
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && $(PY) -m pytest -q tests/host/test_layers.py

test-nat: .venv/.test    ## what gets through NATs, on a lab of them (root or a user namespace); see docs/nat.md
	$(PY) -m pytest -n 3 --dist worksteal $(NAT_TESTS)

nat-report: .venv/.test  ## the whole matrix and 3,000 set-ups, 20 minutes; writes build/nat.html and nat.json
	$(PY) -m l4tools.natlab.report

bench: .venv/.test   ## measure; writes build/bench.json
	$(PY) -m l4tools.bench

bench-deps:      ## Debian packages that bench needs (root)
	apt-get install -y --no-install-recommends gcc libc6-dev valgrind mosquitto

stun-deps:       ## Debian's STUN clients, for a test (root; where services start, coturn's server does)
	apt-get install -y --no-install-recommends coturn stun-client

js-deps:         ## Debian's node and npm, for the test with the Improv project's own client (root)
	apt-get install -y --no-install-recommends nodejs npm

nat-deps:        ## Debian packages that the NAT lab needs (root)
	apt-get install -y --no-install-recommends iproute2 nftables miniupnpd

soak: .venv/.test    ## the long tests at full length
	L4_SOAK=1 $(PY) -m pytest -n 2 tests

size: .venv/.demo    ## .mpy bytes a file, against the budget
	$(PY) -m l4tools.image --sizes

firmware: .venv/.demo    ## custom firmware: BOARD=ESP32_GENERIC_C3 [VARIANT=romfs]; see docs/firmware.md
	@$(PY) -m l4tools.firmware "$(BOARD)" --variant "$(VARIANT)" $(MAKE_ARGS)

web-manifest: .venv/.demo    ## a page that flashes what `make firmware` built from a browser; OUT=build/web
	@$(PY) -m l4tools.webtools $(or $(OUT),build/web)

deps: .venv/.demo    ## umqtt and aioble for the unix port by mip (skipped when CI is set)
	@test -n "$$CI" || .venv/bin/micropython -m mip install umqtt.simple aioble

clean:           ## remove build/ and .venv/
	rm -rf build .venv

.venv/.demo: pyproject.toml
	python3 -m venv .venv && .venv/bin/pip install -q --disable-pip-version-check -e . && touch $@

.venv/.ble: .venv/.demo    # the simulated radio: also for `l4 mesh up --ble`
	.venv/bin/pip install -q --disable-pip-version-check -e ".[ble]" && touch $@

.venv/.test: .venv/.demo
	.venv/bin/pip install -q --disable-pip-version-check -e ".[test]" && touch $@

.PHONY: help demo test test-nat nat-report lint bench bench-deps stun-deps js-deps nat-deps soak size firmware web-manifest deps clean
