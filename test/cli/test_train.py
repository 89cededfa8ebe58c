import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.model_card import load_model_card
from stereo_depth_ros.training import stream

ROOT = Path(cli.__file__).parents[2]
TINY = (
    *("--steps", "2", "--batch", "2", "--reuse", "4"),
    *("--scene", "32x64", "--crop", "32x64", "--size", "32x64"),
)


@pytest.fixture
def _few_textures(monkeypatch):
    """Drawing them is what takes long."""
    monkeypatch.setattr(stream, "_TEXTURES", 2)


@pytest.mark.usefixtures("_few_textures")
def test_training_ends_in_a_model_that_runs(tmp_path, capsys):
    folder = tmp_path / "run"

    assert cli.main(["train", "lite", "-o", str(folder), *TINY]) == 0

    card = folder / "lite.yaml"
    assert f"written to {card}; try it: stereo-depth demo --model {card}" in capsys.readouterr().out
    assert load_model_card(str(card)).command == (
        "stereo-depth train lite -o lite_run --steps 2 --batch 2 --scene 32x64 --crop 32x64 "
        "--reuse 4 --size 32x64"
    )
    assert {"checkpoint.pt", "lite.onnx", "lite.safetensors"} <= {p.name for p in folder.iterdir()}


@pytest.fixture(scope="module")
def trained_by_two(tmp_path_factory):
    """What two processes, each on a part of the batch, left."""
    folder = tmp_path_factory.mktemp("two")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    verb = ["-m", "stereo_depth_ros.cli.main", "train", "lite", "-o", str(folder), *TINY]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", *verb],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_two_processes_train_one_network_and_one_of_them_writes(trained_by_two):
    folder, said = trained_by_two

    assert said.count("written to") == 1
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["processes"]) == (2, 2)
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert load_model_card(str(folder / "lite.yaml")).command.startswith(
        "torchrun --nproc-per-node 2 -m stereo_depth_ros.cli.main train lite "
    )


@pytest.mark.usefixtures("_few_textures")
def test_finished_run_of_several_processes_is_released_anew_by_one(trained_by_two):
    folder, _ = trained_by_two
    before = load_model_card(str(folder / "lite.yaml"))
    (folder / "lite.yaml").unlink()

    assert cli.main(["train", "lite", "-o", str(folder), *TINY]) == 0

    after = load_model_card(str(folder / "lite.yaml"))
    assert after.command == before.command
    after.verified_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crop", "64x96", "--scene", "32x64"], "does not fit into scenes of"),
        (["--crop", "40x64"], "crop is 40x64; give multiples of 16"),
        (["--steps", "0"], "steps is 0"),
        (["--photos", "absent"], "no .jpg or .png below absent"),
    ],
)
def test_wish_that_cannot_be_met_is_one_line(tmp_path, capsys, arguments, message):
    status = cli.main(["train", "lite", "-o", str(tmp_path), *TINY, *arguments])

    error = capsys.readouterr().err
    assert status == 1
    assert message in error
    assert error.startswith("stereo-depth train: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["s2m2", "-o", "out"], ["lite"]], ids=["network", "output"])
def test_only_lite_is_trained_and_into_a_folder(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", *arguments])

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: stereo-depth train")
