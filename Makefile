# make demo       set up and run the node on a simulated camera (or on LEFT= RIGHT= CALIB=)
# make lint       set up, and check style and types
# make format     mend what ruff can mend
# make test-fast  test the core and what of the node needs no DDS; leaves out what FAST does not name
# make test       lint, and the tests that take minutes
# make test-all   and those that take longer
# make doc        write what the pages repeat of the code, and build them into site/
# make lock       write constraints.txt anew: the newest releases that setup.py allows
# NEWEST=1        with any of them but lock: those releases instead of constraints.txt
PYTHON ?= python3
ifeq ($(NEWEST),1)
VENV := .venv-newest
LOCK :=
else
VENV := .venv
LOCK := --constraint constraints.txt
endif
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet $(LOCK)
READY := $(VENV)/.ready
TRAINING_READY := $(VENV)/.training_ready
DOC_READY := $(VENV)/.doc_ready
# What NVIDIA's bindings of each TensorRT hold; the tests compare it with what is used of them.
BINDINGS := $(VENV)/tensorrt_bindings

# All that is quick: no graph is exported, trained or built, no network checked against its authors'.
FAST := $(wildcard test/test_*.py) test/decoding test/engines test/evaluation test/pipeline test/ros

.PHONY: demo lint format test test-fast test-all doc lock clean

# Read by the shell, since make would split a path at its spaces.
export LEFT RIGHT CALIB

demo: $(READY)
	$(BIN)/stereo-depth demo -o demo_out $${LEFT:+--left "$$LEFT"} $${RIGHT:+--right "$$RIGHT"} \
		$${CALIB:+--calib "$$CALIB"} $(ARGS)

lint: $(TRAINING_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TRAINING_READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-fast: $(TRAINING_READY)
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(FAST) --ignore test/engines/tensorrt \
		-m "not slow and not ros" $(ARGS)

# Tests of nodes wait more than they work, hence three processes on two cores. Each has a DDS domain of
# its own; a file stays in one, as its tests share nodes and graphs.
test: lint
	TENSORRT_BINDINGS=$(BINDINGS) $(BIN)/pytest --numprocesses 3 --dist loadfile $(ARGS)

# The last -m wins, and an empty one selects every test.
test-all: override ARGS += -m ""
test-all: test

doc: $(DOC_READY)
	$(BIN)/python doc/generate.py
	$(BIN)/mkdocs build --strict

$(READY): setup.py package.xml constraints.txt
	@echo "Installing ROS 2, OpenCV and ONNX Runtime into $(VENV): a minute or two, once"
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip setuptools
	$(INSTALL) --no-build-isolation --editable ".[ros-jazzy]"
	touch $@

$(TRAINING_READY): $(READY)
	@echo "Installing PyTorch, ONNX, TensorRT-RTX and what tests need: some minutes, once"
	$(INSTALL) --no-build-isolation --editable ".[ros-jazzy,training,test,tensorrt-rtx]"
	$(BIN)/python test/engines/tensorrt/bindings.py $(BINDINGS)
	touch $@

$(DOC_READY): $(READY)
	@echo "Installing MkDocs: a minute, once"
	$(INSTALL) --no-build-isolation --editable ".[ros-jazzy,doc]"
	touch $@

lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet uv
	printf 'pip\nsetuptools\n' | .venv-lock/bin/uv pip compile - setup.py --upgrade --universal \
		--python-version 3.11 --extra ros-jazzy --extra training --extra test --extra doc \
		--extra tensorrt-rtx --no-annotate --custom-compile-command "make lock" \
		--output-file constraints.txt

clean:
	rm -rf .venv .venv-newest .venv-lock demo_out site build install log *.egg-info
