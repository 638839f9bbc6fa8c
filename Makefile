# Everything here makes its own virtual environment; a machine needs only Python and make.
#   make demo    analyse sample pictures with the model in the project
#   make check   lint and types
#   make test    the same, and tests (what CI runs)
#   make models  rebuild every model file from models/model.h5 (and dermoscopy.keras, outline.keras)
#   make card    the tables of both model cards (DATA=folder with their sets of pictures)
#   make bench   latency of each step on this machine
#   make fuzz    mutated files against every reader, until interrupted (ARGS="--count 1000")
#   make wheelhouse DEVICE=pi-bookworm   all that a device without a network needs
#   make test-pi all answers on emulated Raspberry Pi processors beside this machine's
# PYTHON=python3.12 make test    uses another Python.

PYTHON ?= python3
# The second test environment: tflite-runtime 2.14 has wheels for CPython 3.11 and older.
OLD_PYTHON ?= $(firstword $(foreach p,python3.11 python3.10 $(PYTHON),$(shell $(p) -c \
	'import sys; sys.version_info < (3, 12) and print("$(p)")' 2>/dev/null)))

# For the packages that build the package, too, so that next year's build gets what was tested.
export PIP_CONSTRAINT = $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# What a person has set for other work would send the packages elsewhere, or refuse them.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIRE_HASHES PIP_NO_BINARY PIP_ONLY_BINARY
unexport PIP_NO_DEPS PIP_REQUIRE_VIRTUALENV PIP_REQUIREMENT PYTHONHOME PYTHONPATH
INSTALL = -m pip install --quiet --editable

.PHONY: demo test test-pi wheelhouse check models card bench fuzz clean

demo: .venv-demo/made
	.venv-demo/bin/lesion-edge run pictures/samples --out out/demo --report out/demo/report.html
	.venv-demo/bin/lesion-edge run pictures/samples --model dermoscopy --out out/demo/dermoscopy \
		--report out/demo/dermoscopy.html
	@echo "The folder's name is the true label. The notebook's model calls ISIC_0000185 and ISIC_0000199"
	@echo "malignant, and marks black bars and hairs in ISIC_0000169, too; the second report is of the model"
	@echo "dermoscopy."
	@echo "Look at them in a browser: $(CURDIR)/out/demo/report.html and dermoscopy.html"

check: .venv/made
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# One more than there are processors: many tests wait, for a camera or by a clock.
PROCESSES ?= $(shell expr `getconf _NPROCESSORS_ONLN` + 1)
test: check $(if $(OLD_PYTHON),.venv-tflite-runtime/made)
	.venv/bin/pytest --numprocesses $(PROCESSES) --maxprocesses 5 --dist loadfile \
		--no-loadscope-reorder --benchmark-disable

test-pi: .venv/made
	.venv/bin/python -m tests.pi

DEVICE ?= pi-bookworm
wheelhouse: .venv-demo/made
	.venv-demo/bin/python -m pip install --quiet packaging
	.venv-demo/bin/python -m deploy.wheelhouse --device $(DEVICE)

models: .venv/made
	.venv/bin/python -m convert --out models
	.venv/bin/python -m convert --out models --variants int8 --file-name dermoscopy \
		--name dermoscopy --weights models/dermoscopy.keras --outline models/outline.keras \
		--channel-order RGB --scale 0.0078125 --offset=-0.9921875 --interpolation linear_exact \
		--thresholds models/dermoscopy-thresholds.json --familiar 0.5 \
		--evaluation models/evaluation.json --licence "CC BY-NC 4.0: trained on \
	HAM10000 (CC BY-NC 4.0) and on pictures of the ISIC challenges; not for commercial use" \
		--float-until block4_add --max-delta int8=0.05 --mean-delta int8=0.005 --flips int8=0.02

DATA ?= data
SETS = isic2017_val_256 isic2017_train_256 isic2017_train_512 ham10000_256
card: .venv/made
	.venv/bin/python -m models.training.evaluate notebook --fold 0 \
		--card models/MODEL_CARD.md $(addprefix $(DATA)/,$(SETS))
	.venv/bin/python -m models.training.evaluate dermoscopy --fold 0 \
		--card models/DERMOSCOPY_CARD.md $(addprefix $(DATA)/,$(SETS))

bench: .venv/made
	.venv/bin/pytest --benchmark-only

fuzz: .venv/made
	.venv/bin/python -m tests.fuzz $(ARGS)

.venv-demo/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-demo
	.venv-demo/bin/python $(INSTALL) .
	touch $@

.venv/made: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python $(INSTALL) '.[test]'
	touch $@

.venv-tflite-runtime/made: constraints-tflite-runtime.txt
	$(OLD_PYTHON) -m venv --clear .venv-tflite-runtime
	env --unset=PIP_CONSTRAINT .venv-tflite-runtime/bin/python -m pip install --quiet \
		--requirement constraints-tflite-runtime.txt
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-tflite-runtime .pi out build dist
