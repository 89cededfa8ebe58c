"""The verb with a real child process and a real self-test; ONNX Runtime stands in for the GPU."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "engines" / "tensorrt"))

import stand_ins
from stand_ins import builds_of, engines_in, make_host, save

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.tensorrt import obtain
from stereo_depth_ros.engines.tensorrt.engine_file import read_engine


@pytest.fixture
def host(tmp_path, monkeypatch):
    host = make_host(tmp_path / "cache")
    monkeypatch.setattr(obtain, "this_host", lambda: host)
    return host


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


def test_engine_is_built_and_what_it_is_is_said(host, graph, capsys):
    status = cli.main(["build", str(graph)])

    text = capsys.readouterr().out
    assert status == 0
    assert "fp32 engine: " in text
    assert "7 layers, built in 0 s (no engine yet)" in text
    assert "self-test: finite 100 %, cosine 1.00000, mean difference 0.000 px" in text
    kept = Path(text.rsplit("engine file: ", 1)[1].strip())
    assert kept.parent == host.cache.directory
    assert read_engine(kept).proven


def test_what_is_built_of_auto_is_its_network(host, graph, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lite.yaml").write_text("{engine: onnx, file: ../net.onnx}")
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)

    assert cli.main(["build", "auto"]) == 0

    assert builds_of(graph) == ["fp32"]


def test_engine_that_is_kept_is_not_built_again(host, graph):
    cli.main(["build", str(graph)])

    assert cli.main(["build", str(graph)]) == 0
    assert builds_of(graph) == ["fp32"]


def test_options_reach_the_build(host, graph, tmp_path):
    cli.main(["build", str(graph), "--workspace", "512", "--level", "2", "--precision", "fp32"])

    ((_, file),) = host.cache.engines()
    assert file.sidecar["key"]["options"] == {"workspace_mb": 512, "level": 2}


def test_copy_is_written_where_it_is_wanted(host, graph, tmp_path, capsys):
    copy = tmp_path / "out" / "mine.engine"

    assert cli.main(["build", str(graph), "-o", str(copy)]) == 0

    assert read_engine(copy).proven
    assert f"engine file: {copy}" in capsys.readouterr().out


def test_precision_that_was_refused_is_told_with_its_reason(host, graph, tmp_path, capsys):
    save(tmp_path / "net.mixed.onnx", factor=0.5)

    assert cli.main(["build", str(graph)]) == 0

    text = capsys.readouterr().out
    assert "not in mixed: fails its self-test: mean difference" in text
    assert "fp32 engine: " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sgbm"], "model 'sgbm' is no graph; there is nothing to build"),
        (["absent.onnx"], "absent.onnx"),
        (["{graph}", "--precision", "mixed"], "export it with --precision mixed"),
        (["{graph}", "--level", "9"], "level is 9"),
        (["{graph}", "--workspace", "-5"], "workspace is -5 MB"),
        (["{graph}", "-o", "engine.onnx"], "must end in .engine"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value),
)
def test_wish_that_cannot_be_met_is_one_line(host, graph, capsys, arguments, message):
    status = cli.main(["build", *(a.format(graph=graph) for a in arguments)])

    error = capsys.readouterr().err
    assert status == 1
    assert message in error
    assert error.count("\n") == 1
    assert builds_of(graph) == []


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a driver")
def test_machine_without_a_gpu_says_so(graph, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert cli.main(["build", str(graph)]) == 1

    assert "no NVIDIA driver" in capsys.readouterr().err


PROGRAM = """
import signal
import sys
# A test run in the background ignores interrupts, and so would its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = {path!r}
from pathlib import Path
import stand_ins
from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.tensorrt import obtain
host = stand_ins.make_host(Path({cache!r}), work=stand_ins.wait_until_cancelled)
obtain.this_host = lambda: host
sys.exit(cli.main(["build", {graph!r}]))
"""


def test_interrupt_stops_the_build_and_leaves_nothing(graph, tmp_path):
    cache = tmp_path / "cache"
    code = PROGRAM.format(path=sys.path, cache=str(cache), graph=str(graph))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)

    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert output == "stopped; nothing was written\n"
    assert errors == ""
    assert engines_in(cache) == []
    assert stand_ins.builds_of(graph) == []
