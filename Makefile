# make demo   set up and run the node on a simulated camera (or on LEFT= RIGHT= CALIB=)
# make test   set up and run every check
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test clean

demo: $(READY)
	$(BIN)/stereo-depth demo -o demo_out $(if $(LEFT),--left $(LEFT)) $(if $(RIGHT),--right $(RIGHT)) $(if $(CALIB),--calib $(CALIB)) $(ARGS)

test: $(READY)
	$(BIN)/ruff check stereo_depth_ros launch test setup.py
	$(BIN)/mypy
	$(BIN)/pytest $(ARGS)

$(READY): setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[ros-jazzy,test]"
	touch $@

clean:
	rm -rf $(VENV) demo_out build install log *.egg-info
