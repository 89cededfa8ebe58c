# make demo       set up and run the node on a simulated camera (or on LEFT= RIGHT= CALIB=)
# make test       set up and run the checks that take minutes
# make test-all   and those that take longer
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TRAINING_READY := $(VENV)/.training_ready
# What NVIDIA's bindings of each TensorRT hold; the tests compare it with what is used of them.
BINDINGS := $(VENV)/tensorrt_bindings

.PHONY: demo test test-all clean

demo: $(READY)
	$(BIN)/stereo-depth demo -o demo_out $(if $(LEFT),--left $(LEFT)) $(if $(RIGHT),--right $(RIGHT)) $(if $(CALIB),--calib $(CALIB)) $(ARGS)

test: $(TRAINING_READY)
	$(BIN)/ruff check stereo_depth_ros launch test setup.py
	$(BIN)/mypy
	TENSORRT_BINDINGS=$(BINDINGS) $(BIN)/pytest $(ARGS)

# The last -m wins, and an empty one selects every test.
test-all: override ARGS += -m ""
test-all: test

$(READY): setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[ros-jazzy]"
	touch $@

$(TRAINING_READY): $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[ros-jazzy,training,test,tensorrt-rtx]"
	$(BIN)/python test/engines/tensorrt/bindings.py $(BINDINGS)
	touch $@

clean:
	rm -rf $(VENV) demo_out build install log *.egg-info
