# make demo   install, convert the sample, train DFN-MR and ResNet on it, score both, draw Figure 12
# make study  the experiments of sections 3 and 4 on the sample, in small: tables and figures in study-sample/
# make results  write the tables and figures of the study into README.md and docs/, from logs/results/
# make test   install and run the tests; make test-slow runs the long ones
# make lint   check the form of the code with ruff and clang-format
# Another interpreter: make demo PYTHON=/path/to/python3.10

VENV := .venv
DEMO := demo
EPOCHS := 5
PYTHONS := python3.14 python3.13 python3.12 python3.11 python3.10 python3 python
FITS := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))
RUN := $(VENV)/bin/python
SMALL := --dataset sample --epochs $(EPOCHS) --cpus 1 --log-dir $(DEMO)/logs --checkpoint-dir $(DEMO)/checkpoints

RESULTS := logs/results/*.jsonl

STUDY := study-sample
STUDY_DEPTHS := 14 26
STUDY_RUN := --dataset sample --epochs 3 --cpus 1 --log-dir $(STUDY)/logs --checkpoint-dir $(STUDY)/checkpoints

# These are removed, and a shell takes a name with a space for two.
ifneq ($(words $(VENV)) $(words $(DEMO)) $(words $(STUDY)),1 1 1)
$(error VENV, DEMO and STUDY are names of folders, each without a space)
endif

# When the system's Python is replaced by a newer one, the links in an environment lead nowhere, and
# what is installed there is for the old one. Nothing but these links and make's own marks is removed.
$(shell if [ -L $(VENV)/bin/python ] && [ ! -e $(VENV)/bin/python ]; then rm -f $(VENV)/installed $(VENV)/installed-test; fi)

# An interpreter that the command names, and not the environment of the shell, is the one to take.
ifeq ($(origin PYTHON),command line)
PYTHONS := $(PYTHON)
ifneq ($(shell [ -e $(VENV)/bin/python ] && echo there),)
VERSION := -c 'import sys; print(*sys.version_info[:2], sep=".")'
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell $(VENV)/bin/python $(VERSION)))
$(error $(VENV) has another Python than $(PYTHON): name another folder with VENV=FOLDER, or remove it with "make clean")
endif
endif
endif

# Both demonstrations begin anew. A folder of that name which make did not make is left alone.
MADE := .made-by-make
define begin_anew
@if { [ -e $(1) ] || [ -L $(1) ]; } && [ ! -e $(1)/$(MADE) ]; then echo "$(1) was not made by make and is left alone: rename it" >&2; exit 2; fi
rm -rf $(1)
mkdir $(1)
@touch $(1)/$(MADE)
endef

.PHONY: demo study results lint test test-slow clean

demo: $(VENV)/installed
	$(call begin_anew,$(DEMO))
	$(RUN) data/prepare.py sample
	$(RUN) train_cifar.py --network mr --depth 14 $(SMALL)
	$(RUN) train_cifar.py --network resnet --depth 26 $(SMALL)
	for run in $(DEMO)/checkpoints/*; do $(RUN) score.py --cpus 1 --run $$run || exit 1; done
	$(RUN) plot_curves.py $(DEMO)/logs/*.jsonl --figure 12 --out $(DEMO)/figure12.png
	@echo
	@echo "$(DEMO)/figure12.png shows both runs; their logs and weights are in $(DEMO)/ too. To try next:"
	@echo "  source $(VENV)/bin/activate"
	@echo "  python score.py --pretrained fashion-mnist-mr14 --rec data/sample/test.rec  # longer trained"
	@echo "  python data/prepare.py cifar10 && python train_cifar.py --network mr --depth 56  # the paper's"

study: $(VENV)/installed
	$(call begin_anew,$(STUDY))
	$(RUN) data/prepare.py sample
	set -e; for depth in $(STUDY_DEPTHS); do \
	  for network in plain fuse3 fuse6 resnet; do $(RUN) train_cifar.py --network $$network --depth $$depth $(STUDY_RUN); done; \
	  for which in "" "--without RRR" "--no-sharing"; do $(RUN) study/train_ensemble.py --depth $$depth $$which $(STUDY_RUN); done; \
	done
	$(RUN) study/make_tables.py $(STUDY)/logs/*.jsonl --stand-in sample --out $(STUDY)
	for figure in 2 4 5 11; do $(RUN) study/plot_study.py $(STUDY)/logs/*.jsonl --figure $$figure --stand-in sample --out $(STUDY)/figure$$figure.png || exit 1; done

# Parts A and B of the study have 12 and 8 epochs, and C and D 12 as well, on fashion-mnist-12000.
results: $(VENV)/installed
	$(RUN) study/update_results.py $(RESULTS) --into README.md docs/results.md
	$(RUN) study/check_claims.py $(RESULTS) --out docs/verdicts.md
	$(RUN) plot_curves.py logs/results/fashion-mnist-[a-z]*.jsonl --epochs 12 --figure 12 --most-error 20 --out docs/figure12-fashion-mnist.png
	for figure in 2 4 5; do $(RUN) study/plot_study.py $(RESULTS) --epochs 8 --figure $$figure --stand-in fashion-mnist \
	  --out docs/figure$$figure-fashion-mnist.png || exit 1; done

lint: $(VENV)/installed-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror engine/native/*.h engine/native/*.cc

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest

test-slow: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -m slow

$(VENV)/installed: requirements.txt requirements-common.txt requirements-compiler.txt | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(VENV)/bin/python -c 'from engine import build; build.compiler()' 2>/dev/null || { echo "no C++ compiler: installing Zig's for the CPU operators"; \
	  $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-compiler.txt; }
	touch $@

$(VENV)/installed-test: requirements-test.txt $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

# The candidates are run, not only looked for: a name on the PATH may be a shim that leads nowhere.
$(VENV)/bin/python:
	@case "$$(uname -sm)" in "Linux x86_64"|"Linux aarch64"|"Darwin x86_64") ;; \
	  *) echo "MXNet 1.9.1 is packaged for Linux on x86-64 and ARM and for macOS on x86-64, and this is $$(uname -sm)" >&2; exit 2;; esac
	@for link in $(VENV)/bin/python*; do [ -e $$link ] || rm -f $$link; done
	@for python in $(PYTHONS); do \
	  if $$python -c '$(FITS)' 2>/dev/null; then echo "using $$python"; \
	    $$python -m venv $(VENV) && exit; \
	    rm -f $(VENV)/bin/python; echo "$(VENV) could not be made: make room, and run make again" >&2; exit 2; fi; \
	done; \
	echo "no Python 3.10 to 3.14 with the modules venv and ensurepip was found: install one (on Debian and Ubuntu: apt-get install python3-venv) or name one: make PYTHON=/path/to/python3.13" >&2; exit 2

clean:
	rm -rf $(VENV) engine/native/build
	for folder in $(DEMO) $(STUDY); do if [ -e $$folder/$(MADE) ]; then rm -rf $$folder; fi; done
