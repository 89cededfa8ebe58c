import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "engines" / "tensorrt"))

from stand_ins import DEVICE, engines_in, make_host, runtime_of, save

from stereo_depth_ros.cli import engines
from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.tensorrt import BuildOptions, obtain_engine
from stereo_depth_ros.engines.tensorrt.cache import cache_directory
from stereo_depth_ros.engines.tensorrt.key import machine_key
from stereo_depth_ros.engines.tensorrt.parts import machine


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host = make_host(cache_directory())
    here = {host.runtime.name: machine_key(host.runtime, host.device)}
    monkeypatch.setattr(engines, "_read_machine_keys", lambda: here)
    return host


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


@pytest.fixture
def kept(host, graph):
    """One engine that is of use, and one of an older TensorRT."""
    older = replace(host, runtime=runtime_of(10, 2, 0))
    return obtain_engine(graph, BuildOptions(), host=host), obtain_engine(
        graph, BuildOptions(), host=older
    )


def test_empty_cache_says_where_it_is(host, capsys):
    assert cli.main(["engines"]) == 0

    assert capsys.readouterr().out == f"0 engines in {host.cache.directory}\n"


def test_list_tells_what_is_of_use_and_why_the_rest_is_not(host, kept, capsys):
    good, old = kept

    assert cli.main(["engines"]) == 0

    text = capsys.readouterr().out
    lines = {name: text.split(name)[1].split("\n")[1] for name in (good.path.name, old.path.name)}
    assert lines[good.path.name].startswith("    ready: finite 100 %, cosine 1.00000")
    assert lines[old.path.name] == "    it is of TensorRT 10.2.0, not TensorRT 10.3.0"
    assert text.endswith(f"2 engines in {host.cache.directory}\n")


def test_pruning_deletes_what_is_of_no_use_and_nothing_else(host, kept, capsys):
    good, old = kept

    assert cli.main(["engines", "prune"]) == 0

    assert good.path.exists()
    assert good.path.with_suffix(".json").exists()
    assert not old.path.exists()
    assert not old.path.with_suffix(".json").exists()
    text = capsys.readouterr().out
    assert text.startswith(f"{old.path.name}\n1 of 2 engines deleted, ")


def test_pruning_deletes_what_is_damaged(host, graph, capsys):
    path = obtain_engine(graph, BuildOptions(), host=host).path
    path.write_bytes(b"cut")

    cli.main(["engines", "prune"])

    assert not path.exists()


def test_pruning_lets_what_failed_be_tried_again(host, tmp_path):
    graph = save(tmp_path / "net.onnx")
    save(tmp_path / "net.mixed.onnx", factor=0.5)
    obtain_engine(graph, BuildOptions(), host=host)

    cli.main(["engines", "prune"])

    ((_, file),) = host.cache.engines()
    assert file.precision == "fp32"


def test_pruning_deletes_what_an_earlier_boot_left_a_day_ago(host, kept):
    names = ("x.engine.{}.7.part", "lock-{}")
    old, new = ([host.cache.directory / name.format(boot) for name in names] for boot in "ab")
    for path in (*old, *new):
        path.write_bytes(b"")
        os.utime(path, (time.time() - (25 if path in old else 23) * 3600,) * 2)

    cli.main(["engines", "prune"])

    assert [path.exists() for path in (*old, *new)] == [False, False, True, True]
    assert (host.cache.directory / f"lock-{machine()}").exists()


def test_pruning_all_leaves_nothing(host, kept, capsys):
    assert cli.main(["engines", "prune", "--all"]) == 0

    assert engines_in(host.cache.directory) == []
    assert "2 of 2 engines deleted" in capsys.readouterr().out


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is a driver")
def test_machine_without_a_gpu_lists_all_the_same_and_judges_no_other(
    tmp_path, monkeypatch, graph, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    host = make_host(cache_directory(), device=replace(DEVICE, name="Thor"))
    path = obtain_engine(graph, BuildOptions(), host=host).path

    assert cli.main(["engines", "prune"]) == 0

    assert path.exists()
    assert "cannot tell which engines are of other machines: " in capsys.readouterr().out
