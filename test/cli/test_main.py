import argparse
import importlib
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from fakes import save_graph

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.cli import run
from stereo_depth_ros.pictures import write_image
from stereo_depth_ros.version import find_version


def test_help_lists_every_verb(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])

    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)


def modules_after(*arguments):
    """Return the modules that a process has imported once the command has ended."""
    code = (
        "import sys\n"
        "from stereo_depth_ros.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(outcome.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fly"]], ids=" ".join)
def test_no_verb_is_loaded_before_it_is_typed(arguments):
    modules = modules_after(*arguments)

    own = {name for name in modules if name.startswith("stereo_depth_ros.cli.")}
    assert own == {"stereo_depth_ros.cli.main"}
    assert not {"cv2", "numpy", "onnxruntime", "torch", "yaml"} & modules


def test_one_verb_is_loaded_alone():
    modules = modules_after("import", "--help")

    verbs = {f"stereo_depth_ros.cli.{module}" for module, _ in cli.VERBS.values()}
    assert verbs & modules == {"stereo_depth_ros.cli.import_weights"}
    assert not {"cv2", "numpy", "onnxruntime", "torch"} & modules


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])

    assert stop.value.code == 0
    assert capsys.readouterr().out == f"stereo-depth {find_version()}\n"


def complete(tmp_path, line):
    """Return what the shell offers after ``line``."""
    pytest.importorskip("argcomplete")
    offered = tmp_path / "offered"
    completion = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(offered),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    subprocess.run(
        [sys.executable, "-m", "stereo_depth_ros.cli.main"],
        env={**os.environ, **completion},
        timeout=60,
        check=False,
    )
    return offered.read_text().split()


def test_verbs_and_their_options_are_completed(tmp_path):
    assert complete(tmp_path, "stereo-depth ex") == ["export"]
    assert complete(tmp_path, "stereo-depth -v export lite --it") == ["--iterations"]
    assert complete(tmp_path, "stereo-depth models a") == ["add"]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([verb, "--help"])

    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: stereo-depth {verb}")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"]], ids=["none", "unknown", "too_few"])
def test_wrong_usage_is_status_two_with_a_usage_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: stereo-depth")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("modles", "there is no verb 'modles'; did you mean 'models'?\n"),
        ("benchmark", "there is no verb 'benchmark'; did you mean 'bench'?\n"),
        ("fly", f"there is no verb 'fly'; there are {', '.join(cli.VERBS)}\n"),
    ],
)
def test_mistyped_verb_gets_a_suggestion(typed, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["-v", typed, "--model", "lite"])

    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith(f"stereo-depth: error: {hint}")


def options_of(parser):
    """The options of a parser and of its actions that take a value and need not be given."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from options_of(inner)
        elif action.option_strings and action.nargs != 0 and not action.required:
            yield action


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_value_by_default_is_named(verb):
    module = importlib.import_module(f"stereo_depth_ros.cli.{cli.VERBS[verb][0]}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)

    silent = [
        action.option_strings[0]
        for action in options_of(parser)
        if action.default not in (None, [], 0.0) and "default" not in (action.help or "")
    ]
    assert silent == []


def test_help_of_export_names_networks_and_variants(capsys):
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])

    text = capsys.readouterr().out
    assert all(name in text for name in ("s2m2", "damv2_vitl", "fp32", "32 iterations, 416 px"))


def test_expected_error_is_one_line_and_status_one(tmp_path, capsys):
    status = cli.main(["run", "absent.png", "absent.png", "-o", str(tmp_path / "out")])

    assert status == 1
    assert capsys.readouterr().err == "stereo-depth run: image absent.png does not exist\n"


def test_traceback_of_an_expected_error_is_shown_where_asked(tmp_path, capsys):
    status = cli.main(["--traceback", "run", "no.png", "no.png", "-o", str(tmp_path / "out")])

    error = capsys.readouterr().err
    assert status == 1
    assert error.startswith("Traceback (most recent call last):\n")
    assert error.endswith("\nstereo-depth run: image no.png does not exist\n")


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, KeyError])
def test_fault_of_the_program_shows_where_it_arose(kind, tmp_path, capsys, monkeypatch):
    def fail(*images):
        raise kind("no such axis")

    monkeypatch.setattr(run, "load_pair", fail)

    status = cli.main(["run", "left.png", "right.png", "-o", str(tmp_path / "out")])

    lines = capsys.readouterr().err.splitlines()
    assert status == 1
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].startswith(f"{kind.__name__}: ")
    assert lines[-1].startswith("stereo-depth run: this is a fault of stereo_depth_ros; ")


def test_reader_that_has_enough_is_no_error():
    command = f"{sys.executable} -m stereo_depth_ros.cli.main models | head -1"

    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)

    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_module_runs_as_a_program(tmp_path):
    outcome = subprocess.run(
        [sys.executable, "-m", "stereo_depth_ros.cli.main", "run", "no.png", "no.png", "-o", "out"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 1
    assert outcome.stderr == "stereo-depth run: image no.png does not exist\n"


def run_on_the_cpu(tmp_path, *options):
    """Run a graph on a machine whose driver cannot be loaded; return the outcome."""
    graph = save_graph(tmp_path / "net.onnx")
    for side in ("left", "right"):
        write_image(tmp_path / f"{side}.png", np.zeros((12, 16, 3), np.uint8))
    code = (
        "import ctypes, sys\n"
        "from stereo_depth_ros.engines.tensorrt import device\n"
        "def refuse(name): raise OSError(f'{name}: cannot open')\n"
        "device.ctypes.CDLL = refuse\n"
        "from stereo_depth_ros.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    files = [str(tmp_path / name) for name in ("left.png", "right.png")]
    verb = ["run", *files, "--model", str(graph), "-o", str(tmp_path / "out")]
    return subprocess.run(
        [sys.executable, "-c", code, *options, *verb],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_engine_line_on_the_cpu_says_so_and_no_more(tmp_path):
    outcome = run_on_the_cpu(tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    (engine,) = [line for line in outcome.stdout.splitlines() if line.startswith("engine: ")]
    assert "(CPU, fp32, 16x12)" in engine
    assert engine.endswith("; the first choice without a GPU")
    assert outcome.stderr == ""


@pytest.mark.parametrize("option", ["-v", "--verbose"])
def test_verbose_says_why_it_is_the_cpu(tmp_path, option):
    outcome = run_on_the_cpu(tmp_path, option)

    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr.startswith("DEBUG: on the CPU: no NVIDIA driver: libcuda.so.1: cannot ")
    assert "libcuda" not in outcome.stdout


@pytest.mark.parametrize(
    ("before", "after", "level"),
    [([], [], logging.WARNING), (["-v"], [], logging.DEBUG), ([], ["-v"], logging.DEBUG)],
    ids=["not asked", "before the verb", "after it"],
)
def test_package_logs_warnings_and_more_where_asked(before, after, level, tmp_path):
    logger = logging.getLogger("stereo_depth_ros")
    old = logger.level
    try:
        files = ["absent.png", "absent.png"]
        cli.main([*before, "run", *files, "-o", str(tmp_path / "out"), *after])
        assert logger.level == level
    finally:
        logger.setLevel(old)
