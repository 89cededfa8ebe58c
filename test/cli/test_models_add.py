"""`stereo-depth models add NAME`, in processes of its own, with a Hub that runs here."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra training")
pytest.importorskip("huggingface_hub", reason="needs the extra training")

import torch
from authors import entries_of
from hub_server import serve_hub

from stereo_depth_ros import pictures
from stereo_depth_ros.artifact import find_artifact, list_added
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.engines import open_engine


@pytest.fixture(scope="module")
def las2_s():
    """The file that the authors publish, with generated weights."""
    content = io.BytesIO()
    torch.save(entries_of("lite_any_stereo", "las2_s"), content)
    return content.getvalue()


@pytest.fixture
def hub(las2_s):
    with serve_hub(las2_s) as served:
        yield served


def command(hub, *arguments, sha256=None):
    """Start the command line on a machine that knows nothing but the Hub.

    There las2_s is the file with that hash.
    """
    code = f"""
import sys
from dataclasses import replace
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.published import PUBLISHED
PUBLISHED["las2_s"] = replace(PUBLISHED["las2_s"], sha256={sha256 or hub.sha256!r})
sys.exit(main({list(arguments)!r}))
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": hub.url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def add(hub, **options):
    return command(hub, "models", "add", "las2_s", "--size", "32x64", **options)


def finish(process):
    """Status, output and the last line of the errors, where a progress bar may stand before it."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err.rpartition("stereo-depth models: ")[2].rstrip("\n")


def wait_for_transfer(folder):
    deadline = time.monotonic() + 300
    while not any(part.stat().st_size for part in folder.glob(".downloads/*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


INSTALLED = [".downloads", ".las2_s.lock", "las2_s"]


def test_one_command_takes_a_machine_from_nothing_to_depth(hub, models_home, tmp_path, yard):
    status, out, err = finish(add(hub))

    assert status == 0, err
    assert out.splitlines() == [
        "las2_s: MIT",
        "terms: https://huggingface.co/tomtomtommi/LiteAnyStereoV2",
        "fetches LAS2_S.pth from https://huggingface.co/tomtomtommi/LiteAnyStereoV2",
        "imports LAS2_S.pth",
        "exports lite_any_stereo las2_s for 64x32 images, in fp32 and mixed",
        f"installed in {models_home}/las2_s",
        "next: stereo-depth run left.png right.png --model las2_s -o out",
    ]
    assert names(models_home) == INSTALLED
    assert names(models_home / ".downloads") == []

    for side in ("left", "right"):
        pictures.write_image(tmp_path / f"{side}.png", getattr(yard.pair, side))
    pair = [str(tmp_path / f"{side}.png") for side in ("left", "right")]
    run = command(hub, "run", *pair, "--model", "las2_s", "-o", str(tmp_path / "out"))
    status, _, err = finish(run)

    assert status == 0, err
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "las2_s" in json.dumps(results)
    disparity = np.load(tmp_path / "out" / "disparity.npy")
    assert disparity.shape == yard.pair.left.shape[:2]
    assert np.isfinite(disparity).all()


def test_interrupted_transfer_is_taken_up_by_the_next_call_and_keeps_others_out(
    hub, models_home, capfd
):
    hub.stalls = True
    first = add(hub)
    wait_for_transfer(models_home)

    assert main(["models", "add", "las2_s"]) == 1
    assert capfd.readouterr().err == (
        "stereo-depth models: model 'las2_s' is being changed by another process; wait for that "
        "one, or stop it and try again\n"
    )
    first.send_signal(signal.SIGINT)
    assert finish(first)[::2] == (130, "interrupted")
    assert list_added() == []
    assert names(models_home) == INSTALLED[:2]

    status, _, err = finish(add(hub))

    assert status == 0, err
    starts = [int(request.rpartition(" ")[2]) for request in hub.asked_for]
    assert len(starts) == 2
    assert starts[1] > 0, "it began again"
    assert open_engine("las2_s").spec.width == 64


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_nothing_is_half_installed_and_the_next_call_works(
    hub, models_home, seed
):
    draw = random.Random(seed)
    for step in ("fetches", "imports", "exports", "exports"):
        process = add(hub)
        for line in process.stdout:
            if line.startswith(step):
                break
        time.sleep(draw.uniform(0.0, 4.0))
        process.kill()
        finish(process)
        for name in list_added():
            find_artifact(name).verify_file()

    status, _, err = finish(add(hub))

    assert status == 0, err
    assert names(models_home) == INSTALLED
    assert names(models_home / ".downloads") == []
    assert open_engine("las2_s").spec.width == 64


def test_file_that_is_not_the_published_one_is_one_line(hub, models_home):
    status, _, line = finish(add(hub, sha256="ab" * 32))

    assert status == 1
    assert line.startswith("LAS2_S.pth of tomtomtommi/LiteAnyStereoV2 is not the file known to be ")
    assert "\n" not in line
    assert names(models_home) == INSTALLED[:2]
    assert names(models_home / ".downloads") == []


def test_no_network_is_one_line_with_the_way_by_hand(hub, models_home):
    hub.url = "http://127.0.0.1:9"

    status, _, line = finish(add(hub))

    assert status == 1
    assert line.startswith("cannot fetch LAS2_S.pth from tomtomtommi/LiteAnyStereoV2: ")
    assert line.endswith(
        "it from https://huggingface.co/tomtomtommi/LiteAnyStereoV2 by hand and give it by --file"
    )
    assert "\n" not in line
    assert list_added() == []


def test_folder_that_cannot_be_written_is_one_line_with_the_cure(hub, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(tmp_path / "file" / "models"))

    status, _, line = finish(add(hub))

    assert status == 1
    assert line == (
        f"{tmp_path}/file/models cannot be written: Not a directory; free space or mend the "
        "permissions, or keep models elsewhere with STEREO_DEPTH_MODELS=FOLDER"
    )
    assert hub.asked_for == []


# -- terms -----------------------------------------------------------------------------------------


@pytest.fixture
def add_s2m2(hub, monkeypatch, capfd):
    """Add s2m2_s, which is for research alone, in this process: is the Hub asked for it?

    What the Hub has is not that file, so that it ends there.
    """
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_url", lambda *names: f"{hub.url}/{names[0]}/resolve/{names[1]}"
    )

    def run(*options):
        assert main(["models", "add", "s2m2_s", *options]) == 1
        out, err = capfd.readouterr()
        assert "s2m2_s: CC-BY-NC-4.0; NOT FOR COMMERCIAL USE" in out
        assert "terms: https://huggingface.co/minimok/s2m2" in out
        return bool(hub.asked_for), out, err.splitlines()[-1]

    return run


@pytest.fixture
def type_in(monkeypatch):
    """Make standard input a terminal at which somebody types."""
    opened = []

    def run(text):
        master, slave = pty.openpty()
        opened.append(master)
        os.write(master, text)
        monkeypatch.setattr(sys, "stdin", os.fdopen(slave))

    yield run
    for master in opened:
        os.close(master)


def test_terms_that_forbid_commercial_use_need_a_word_where_nobody_can_answer(
    add_s2m2, models_home, monkeypatch
):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    is_asked_for, _, line = add_s2m2()

    assert not is_asked_for
    assert line == "stereo-depth models: s2m2_s was not added: accept its terms with --accept"
    assert names(models_home) == []


@pytest.mark.parametrize("text", [b"n\n", b"\n", b"maybe\n", b"\x04"], ids=repr)
def test_terms_that_are_not_accepted_fetch_nothing(add_s2m2, type_in, models_home, text):
    type_in(text)

    is_asked_for, out, line = add_s2m2()

    assert not is_asked_for
    assert out.endswith("Do you accept these terms? [y/N] ")
    assert line == "stereo-depth models: s2m2_s was not added: its terms were not accepted"
    assert names(models_home) == []


@pytest.mark.parametrize("text", [b"y\n", b"Yes\n"], ids=repr)
def test_accepted_terms_let_it_be_fetched(add_s2m2, type_in, text):
    type_in(text)

    is_asked_for, _, line = add_s2m2()

    assert is_asked_for
    assert "is not the file known to be published" in line


def test_terms_that_are_accepted_beforehand_are_not_asked_for(add_s2m2, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    is_asked_for, out, _ = add_s2m2("--accept")

    assert is_asked_for
    assert "Do you accept" not in out


@pytest.mark.parametrize("iterations", ["-3", "1001", "many"])
def test_impossible_iterations_are_refused_before_anything_is_fetched(iterations, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["models", "add", "s2m2_s", "--accept", "--iterations", iterations])

    assert stop.value.code == 2
    assert f"'{iterations}' is not a whole number from 0 to 1000" in capsys.readouterr().err
