# The commands of this project; `make` alone lists them.

PYTHON ?= python3
VENV ?= .venv# a path relative to this folder
# Pip arguments that choose another build of PyTorch: its index, a version. Read when $(VENV) is made.
TORCH_PIP_ARGS ?=

STAMP := $(VENV)/installed
STATE := $(CURDIR)/_build/state
FONTS := _build/state/fonts
CODE := genlearn tests tools benchmarks book assignments

# Results depend on nothing outside this folder: small models, one thread a process (tiny models
# run slower on two), and no settings, history or start-up files from the reader's home.
RUN := env -u MPLBACKEND PATH="$(CURDIR)/$(VENV)/bin:$$PATH" GENLEARN_PROFILE=quick OMP_NUM_THREADS=1 \
	IPYTHONDIR="$(STATE)/ipython" MPLCONFIGDIR="$(STATE)/matplotlib" \
	JUPYTER_CONFIG_DIR="$(STATE)/config" JUPYTER_DATA_DIR="$(STATE)/data" \
	JUPYTER_RUNTIME_DIR="$(STATE)/runtime"

# Execute every notebook and compare its outputs with the stored ones, two notebooks at a time. The
# classifiers that judge samples are trained anew each time, and not where the reader keeps theirs.
JUDGES := $(CURDIR)/_build/judges
VALIDATE := GENLEARN_CACHE="$(JUDGES)" pytest -q --nbval --nbval-current-env --nbval-cell-timeout 300 \
	--nbval-sanitize-with tests/nbval_sanitize.cfg -n 2 --dist loadfile book

# Problem sets: see tools/grading.
GRADING := $(RUN) PYTHONPATH=tools python -m grading

# The arithmetic of a CPU without wide vector instructions: sums in another order.
PLAIN_CPU := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE

# A PyTorch that TORCH_PIP_ARGS itself names (torch==2.6.0, a wheel) sets its pin aside, and that of
# sympy, for which some versions of PyTorch demand one version.
TORCH := $(shell grep '^torch==' constraints.txt)
NAMED := $(filter torch% %.whl,$(TORCH_PIP_ARGS))

say = @printf '\n== %s\n' '$(1)'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install book test check mutations grading validate site portability notebooks lab \
	assignments grade bench constraints clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv with everything the other commands need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'genlearn needs Python 3.11 or newer; name one so: make PYTHON=python3.12 ...' >&2; exit 2; }
	$(call say,Installing into $(VENV) (some minutes the first time))
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@grep -v $(if $(NAMED),-e '^torch==' -e '^sympy==',-e '^$$') constraints.txt > $(VENV)/pins.txt
	@# Unpinned but for PyTorch itself: its index may lack our versions of what else it needs.
	@$(if $(TORCH_PIP_ARGS),$(PIP) install $(TORCH_PIP_ARGS) $(if $(NAMED),,$(TORCH)))
	@$(PIP) install -c $(VENV)/pins.txt -e '.[all]'
	@touch $@

$(STAMP): PIP = $(VENV)/bin/python -m pip --quiet --disable-pip-version-check

# Matplotlib lists the fonts of a machine once, and says so; here its notice enters no notebook.
$(FONTS): $(STAMP)
	@mkdir -p $(@D)
	@$(RUN) python -c 'import matplotlib.font_manager'
	@touch $@

book: $(STAMP) ## build the site; any warning is an error
	$(call say,Building the book)
	@rm -rf _build/html _build/.doctrees
	@$(RUN) jupyter-book build book --config _config.yml --path-output . \
		-W -n --keep-going --all -q > /dev/null
	@echo 'The book is built. Open this page: $(CURDIR)/_build/html/index.html'

test: check mutations grading validate book site ## everything that must hold: check, the problem sets, the notebooks, the book, the site

check: $(STAMP) $(FONTS) ## lint and unit tests alone (two minutes)
	$(call say,Lint)
	@$(RUN) ruff check $(CODE)
	@$(RUN) ruff format --check $(CODE)
	$(call say,Unit tests)
	@$(RUN) pytest -q -n 2 --ignore tests/site --ignore tests/mutations \
		--ignore tests/assignments

mutations: $(STAMP) ## put deliberate bugs into copies of the library; a named test must find each
	$(call say,Deliberate bugs)
	@$(RUN) pytest -q -n 2 tests/mutations

grading: $(STAMP) ## release the problem sets, and grade right, wrong and broken submissions
	$(call say,Problem sets)
	@$(RUN) pytest -q -n 2 --dist loadfile tests/assignments

validate: $(STAMP) $(FONTS) ## run every notebook and compare with its stored outputs
	$(call say,Notebooks)
	@rm -rf "$(JUDGES)"
	@$(RUN) $(VALIDATE)

site: $(STAMP) ## check the pages that `make book` built
	$(call say,Site)
	@$(RUN) pytest -q -n 2 tests/site

portability: $(STAMP) $(FONTS) ## the notebooks on another CPU, and from perturbed initial weights
	$(call say,Notebooks with the arithmetic of a plain CPU)
	@$(RUN) $(PLAIN_CPU) python -c \
		'import torch; assert torch.backends.cpu.get_cpu_capability() == "DEFAULT"'
	@rm -rf "$(JUDGES)"
	@$(RUN) $(PLAIN_CPU) $(VALIDATE)
	$(call say,Notebooks from initial weights moved by one part in a million)
	@rm -rf _build/perturbed "$(JUDGES)" && cp -R tests/portability/ipython _build/perturbed
	@$(RUN) IPYTHONDIR="$(CURDIR)/_build/perturbed" ipython --no-banner -c \
		'import torch; assert torch.optim.Optimizer.__init__.__name__ == "perturbing_init"'
	@$(RUN) IPYTHONDIR="$(CURDIR)/_build/perturbed" $(VALIDATE)

notebooks: $(STAMP) $(FONTS) ## run the chapters whose code changed and store their outputs (ALL=1: every one)
	$(call say,Notebooks)
	@$(RUN) python tools/notebooks.py $(if $(ALL),--all)

lab: $(STAMP) ## open the book in JupyterLab
	@$(VENV)/bin/jupyter lab book

assignments: $(STAMP) ## build the problem sets: what students get, and the page for staff
	$(call say,Problem sets)
	@$(GRADING) release

grade: $(STAMP) ## grade the submissions in a folder: make grade DIR=submissions SET=p2_vae
	@test -n "$(DIR)" || { \
		echo 'name the folder of submissions: make grade DIR=submissions SET=p2_vae' >&2; exit 2; }
	@$(GRADING) grade "$(DIR)" $(if $(SET),--set $(SET)) $(GRADE_ARGS)

bench: $(STAMP) ## measure speed, one script after the other
	@for script in benchmarks/*.py; do \
		printf '\n== %s\n' "$$script"; $(RUN) python "$$script" || exit; done

constraints: ## pin the newest versions that pyproject.toml admits
	$(call say,Resolving the newest versions)
	@rm -rf _build/newest && $(PYTHON) -m venv _build/newest
	@$(PIP) install $(TORCH_PIP_ARGS) torch
	@$(PIP) install -e '.[all]'
	@# Left out: tags of a build (+cpu), and the CUDA libraries, which PyTorch pins for itself.
	@{ sed -n '/^#/p' constraints.txt; \
		$(PIP) list --format=freeze --exclude-editable --exclude pip \
		| sed -e 's/+.*//' -e '/^\(nvidia\|cuda\|triton\)/d'; } > _build/constraints.txt
	@mv _build/constraints.txt constraints.txt

constraints: PIP = _build/newest/bin/python -m pip --quiet --disable-pip-version-check

clean: ## remove what was built (.venv stays)
	rm -rf _build .pytest_cache .ruff_cache
