# Everything a newcomer needs: `make demo` and `make test`. Both set up what they use in ./.venv.
.PHONY: demo test test-slow mutants check bench bench-fleet soak setup lock clean

PYTHON ?= python3
# uv from the PATH, or else installed by pip into ./.tools (no virtual environment and no root needed).
UV := $(shell command -v uv || echo .tools/bin/uv)
RUN = $(UV) run --quiet --frozen

demo: setup
	@echo
	@$(RUN) birthright demo; code=$$?; [ $$code -eq 1 ] || exit $$code

# What every change has to pass; what takes long is in test-slow.
test: setup
	$(RUN) pytest -m "not slow"

test-slow: setup
	$(RUN) pytest -m slow

# What can be taken out of the engine of retirements, and which test notices; part of test-slow.
mutants: setup
	$(RUN) python tests/mutants.py

check: setup
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) deptry src

bench: setup
	$(RUN) python benchmarks/run.py

# Organizations of ten thousand accounts: about ten minutes.
bench-fleet: setup
	$(RUN) python benchmarks/run.py fleet

# How many sequences: make soak SEQUENCES=5000
SEQUENCES ?= 100000
soak: setup
	$(RUN) python tests/soak.py --sequences $(SEQUENCES)

setup: $(UV)
	@$(UV) sync --quiet --frozen

lock: $(UV)
	$(UV) lock --upgrade

.tools/bin/uv:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .tools uv

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
