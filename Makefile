# Everything runs in .venv, which is made with the versions of constraints.txt and brought up to date when they change.
#   PYTHON    the interpreter that makes .venv
#   PIP_ARGS  passed to pip install
#   ARGS      passed to the command that the target runs

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1

CURRENT := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

.PHONY: help demo test lint bench bench-peers bench-cliffs bench-gpu clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.demo ## train hybrid models on handwritten digits and compare them with classical ones
	.venv/bin/qml compare digits $(ARGS)

test: .venv/.dev ## run the whole test suite, on all cores
	.venv/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

lint: .venv/.dev ## check style, formatting, types and the direction of imports
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/.dev ## measure a training step, ours and the installed peers in turn; ARGS=-h for more
	.venv/bin/python -m benchmarks $(ARGS)

bench-peers: $(patsubst benchmarks/peers/%.txt,benchmarks/.peers/%/.installed,$(wildcard benchmarks/peers/*.txt)) ## install the peers, each with its own pins

bench-cliffs: .venv/.dev ## measure every kind of circuit against the simplest one
	.venv/bin/python -m benchmarks cliffs $(ARGS)

bench-gpu: .venv/.dev ## measure a training step on a CUDA device, ours and the peers in turn
	.venv/bin/python -m benchmarks gpu $(ARGS)

clean: ## remove .venv, installed peers, caches and build products; results in runs/ stay
	rm -rf .venv benchmarks/.peers build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,what): .venv/.unfinished outlives a set-up that was killed, and the next one then starts afresh,
# because pip takes half a package for a whole one. Where pip merely failed, what was there before still works.
define install
	@$(PYTHON) $(CURRENT) 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed, but $(PYTHON) is older or missing: name one, as in make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@[ ! -e .venv/.unfinished ] && .venv/bin/python $(CURRENT) 2>/dev/null && .venv/bin/python -m pip --version >/dev/null 2>&1 \
		|| { echo "Making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@echo "Installing $(1) with the pinned versions into .venv: some minutes the first time"
	@touch .venv/.unfinished
	@.venv/bin/python -m pip install -c constraints.txt $(PIP_ARGS) -e '$(1)' \
		|| { [ $$? -gt 128 ] || rm .venv/.unfinished; exit 1; }
	@rm .venv/.unfinished
endef

.venv/.demo: pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

.venv/.dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch .venv/.demo $@

# .installed comes last: a set-up that was killed starts afresh.
benchmarks/.peers/%/.installed: benchmarks/peers/%.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install $(PIP_ARGS) -r $<
	@touch $@
