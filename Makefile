# `make help` lists what there is to do. Everything happens in .venv, which the first target makes.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SITE = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# It does not see the editable install, so another build can be imported in its place.
BASE_PYTHON = $(shell $(BIN)/python -c 'import sys; print(sys._base_executable)')
CXX_FILES := $(wildcard csrc/*/*.hpp csrc/*/*.cpp csrc/*/*.h) $(wildcard examples/*.c)
BUILD_FILES := pyproject.toml CMakeLists.txt $(wildcard csrc/*/*)
# Seconds, after which a test counts as hung and the others go on.
PATIENCE := 300
CAM_PEERS := grad-cam torchcam ttach scikit-learn joblib threadpoolctl cloudpickle narwhals
PHOTOS := chelsea.png coffee.png rocket.jpg astronaut.png motorcycle_left.png
SKIMAGE = $(shell $(BIN)/python -c 'import skimage.data as d, os; print(os.path.dirname(d.__file__))')

.PHONY: help demo test lint types unit sanitize dist docs bench check-long format clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

.make/venv: constraints.txt
	@mkdir -p .make
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt torch numpy scikit-build-core pybind11 cmake ninja
	@touch $@

.make/demo: .make/venv $(BUILD_FILES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --constraint constraints.txt --no-build-isolation --editable '.[demo]'
	@touch $@

# Not by way of .make/demo: with other flags the core would be compiled twice.
.make/test: .make/venv $(BUILD_FILES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --constraint constraints.txt --no-build-isolation \
		-Ccmake.define.FASTCAM_ERRORS=ON -Ccmake.define.FASTCAM_C_LIBRARY=ON --editable '.[test,docs]'
	@touch $@ .make/demo

# Beside the environment: with a torchvision that lacks its operators in it, torchmetrics would not load.
.make/classifiers: .make/venv
	$(PIP) install --quiet --no-deps --upgrade --target build/classifiers --constraint constraints.txt torchvision timm
	@touch $@

# The Triton of PyTorch 2.11; tests/kernels/test_compiled.py compiles by it too. Only its compiler is used.
.make/triton36: .make/venv
	$(PIP) install --quiet --no-deps --upgrade --target build/triton36 triton==3.6.0
	@touch $@

demo: .make/demo  ## localize objects in five photographs with a pretrained classifier, into demo/
	$(BIN)/fastcam localize $(addprefix $(SKIMAGE)/,$(PHOTOS)) --out demo

test: lint types unit sanitize dist docs  ## all that CI runs

lint: .make/test  ## ruff and clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

types: .make/test  ## mypy, strict
	$(BIN)/mypy

unit: .make/test .make/classifiers .make/triton36  ## pytest
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist worksteal --timeout $(PATIENCE) -m 'not long and not gpu'

sanitize: .make/test  ## the C++ under AddressSanitizer and UndefinedBehaviorSanitizer
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --no-deps --no-build-isolation --upgrade --target build/sanitized-site \
		-Cbuild-dir=build/sanitized -Ccmake.define.FASTCAM_C_LIBRARY=ON \
		-Ccmake.define.FASTCAM_SANITIZE=address,undefined .
	LD_PRELOAD="$$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		OMP_NUM_THREADS=1 PYTHONSAFEPATH=1 PYTHONPATH=build/sanitized-site:$(SITE) $(BASE_PYTHON) -m pytest \
		-p no:cacheprovider --numprocesses 2 --dist worksteal --timeout $(PATIENCE) -m 'not long and not gpu' \
		tests/csrc tests/ops tests/test_masks.py

dist: .make/test  ## sdist and wheel, the wheel imported where nothing else is, and a build without a compiler
	rm -rf dist build/fresh build/without-torch-wheel
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv build/fresh
	build/fresh/bin/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt dist/*.whl
	cd build/fresh && bin/python -c "import fastcam, fastcam.kernels, torch; from fastcam import _C; \
		print('wheel', _C.core(), fastcam.boxes_from_masks(torch.ones(1, 3, 5, dtype=torch.bool)).boxes.tolist())"
	PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) wheel --quiet --no-deps --no-build-isolation --wheel-dir build/without-torch-wheel \
		-Ccmake.define.FASTCAM_INSTRUCTION_SETS=none ./without_torch
	$(PIP) install --quiet --no-deps --upgrade --target build/without-torch-site build/without-torch-wheel/*.whl
	PYTHONPATH=build/without-torch-site $(BIN)/python -P -c "import sys; sys.modules['torch'] = None; import numpy, fastcam_numpy; \
		print('without torch', fastcam_numpy.boxes_from_maps(numpy.eye(3), size=(9, 9)).boxes.tolist())"
	CXX=/nonexistent PATH="$(CURDIR)/$(BIN):$$PATH" $(PIP) install --quiet --no-deps --no-build-isolation --upgrade --target build/plain-site \
		-Cbuild-dir=build/plain -Ccmake.define.FASTCAM_CORE=OFF .
	PYTHONPATH=build/plain-site:$(SITE) $(BASE_PYTHON) -P -c "import torch, fastcam; from fastcam.ops.core import core; assert core is None; \
		print('reference', fastcam.boxes_from_masks(torch.ones(1, 3, 5, dtype=torch.bool)).boxes.tolist())"

docs: .make/test  ## the documentation as a site, into build/site; warnings are errors
	OMP_NUM_THREADS=1 $(BIN)/mkdocs build

# Without the requirements that they do not import; tests/libraries.py finds them, and torchvision and timm.
.make/cam-peers: .make/venv constraints.txt
	$(PIP) install --quiet --no-deps --upgrade --target build/cam-peers --constraint constraints.txt $(CAM_PEERS)
	@touch $@

bench: .make/test .make/cam-peers .make/classifiers  ## the benchmark grid, its table, and a line a row in its history
	$(BIN)/pytest bench --benchmark-only --benchmark-json=build/bench.json
	$(BIN)/python bench/history.py build/bench.json

check-long: .make/test .make/classifiers .make/cam-peers .make/triton36  ## the tests at full size, and masks beside OpenCV of the generation before
	$(BIN)/pytest -m 'long and not gpu' -s
	$(PIP) install --quiet --no-deps --upgrade --target build/opencv4 'opencv-python-headless<5'
	PYTHONPATH=build/opencv4 $(BIN)/pytest -m long -s tests/csrc/test_components.py

format: .make/test  ## ruff and clang-format, in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

clean:  ## remove what was built
	rm -rf .make .venv build dist demo
