import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stereo_depth_ros.artifact import find_artifact, locate_reference
from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import load_reference
from stereo_depth_ros.folder_lock import lock_folder
from stereo_depth_ros.networks import create_network
from stereo_depth_ros.training import release, stream, trainer, validation
from stereo_depth_ros.training.recipes import recipe_of

ROOT = Path(cli.__file__).parents[2]
TINY = (
    *("--steps", "2", "--batch", "2", "--reuse", "4"),
    *("--scene", "32x64", "--crop", "32x64", "--size", "32x64"),
)


@pytest.fixture
def _few_scenes(monkeypatch):
    """Drawing and rendering them is what takes long."""
    monkeypatch.setattr(stream, "TEXTURES_PER_BANK", 2)
    monkeypatch.setattr(validation, "_PAIRS", 1)


@pytest.mark.usefixtures("_few_scenes")
def test_training_ends_in_a_model_that_runs(tmp_path, capsys):
    folder = tmp_path / "run"

    assert cli.main(["train", "lite", "-o", str(folder), *TINY]) == 0

    card = folder / "lite.yaml"
    assert f"written to {card}; try it: stereo-depth demo --model {card}" in capsys.readouterr().out
    assert find_artifact(str(card)).card.command == (
        "stereo-depth train lite -o lite_run --steps 2 --batch 2 --scene 32x64 --crop 32x64 "
        "--reuse 4 --size 32x64"
    )
    written = {"checkpoint.pt", "lite.safetensors"}
    written |= {"lite.onnx", "lite.mixed.onnx", "lite.reference.npz"}
    assert written <= {file.name for file in folder.iterdir()}
    graph = read_graph(folder / "lite.onnx")
    assert load_reference(locate_reference(graph.path), graph).source == "PyTorch in float32"


class StandInTrainer:
    """Trains nothing; tells what it was made of."""

    rank = 0
    made: tuple

    def __init__(self, recipe, folder):
        StandInTrainer.made = recipe, folder
        self.network = create_network(recipe.network)

    def run(self):
        pass


@pytest.fixture
def stand_in(monkeypatch):
    """A trainer and a release that take no time; returns the trainer."""
    monkeypatch.setattr(trainer, "Trainer", StandInTrainer)
    monkeypatch.setattr(release, "release", lambda run, size, pairs: Path("run/lite.yaml"))
    return StandInTrainer


def test_options_become_the_recipe(stand_in, tmp_path, capsys):
    assert cli.main(["train", "lite", "-o", str(tmp_path), *TINY, "--seed", "4"]) == 0

    recipe, folder = stand_in.made
    assert folder == tmp_path
    assert (recipe.steps, recipe.batch, recipe.reuse, recipe.seed) == (2, 2, 4, 4)
    assert (recipe.scene, recipe.crop) == ((32, 64), (32, 64))
    assert "written to run/lite.yaml" in capsys.readouterr().out


def test_recipe_is_that_of_the_network_but_for_the_options(stand_in, tmp_path):
    options = ["--data", "scenes:3", "--data", "plain=pairs", "--no-freeze-norm", "--freeze", "a*"]

    assert cli.main(["train", "smoe_stereo", "-o", str(tmp_path), *options]) == 0

    assert stand_in.made[0] == replace(
        recipe_of("smoe_stereo"),
        data=("scenes:3", "plain=pairs"),
        freeze_norm=False,
        freeze=("a*",),
    )


@pytest.mark.usefixtures("stand_in")
def test_second_training_in_a_folder_is_told_who_holds_it(tmp_path, capsys):
    code = f"""
from pathlib import Path
import time
from stereo_depth_ros.folder_lock import lock_folder
with lock_folder(Path({str(tmp_path)!r}), "training"):
    print("locked", flush=True)
    time.sleep(600)
"""
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "locked\n"

    status = cli.main(["train", "lite", "-o", str(tmp_path), *TINY])

    error = capsys.readouterr().err
    assert status == 1
    assert f"{tmp_path} is in use by a training, process {first.pid} on " in error
    assert error.count("\n") == 1
    assert cli.main(["train", "lite", "-o", str(tmp_path / "other"), *TINY]) == 0

    first.kill()
    first.wait(timeout=60)
    first.stdout.close()
    assert cli.main(["train", "lite", "-o", str(tmp_path), *TINY]) == 0


@pytest.mark.usefixtures("stand_in")
def test_processes_of_one_training_do_not_lock_each_other_out(tmp_path, monkeypatch):
    with lock_folder(tmp_path, "training"):
        monkeypatch.setenv("RANK", "1")

        assert cli.main(["train", "lite", "-o", str(tmp_path), *TINY]) == 0


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


@pytest.mark.slow
def test_two_processes_train_one_network_and_one_of_them_writes(trained_by_two):
    folder, said = trained_by_two

    assert said.count("written to") == 1
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    assert (state["step"], state["processes"]) == (2, 2)
    assert len(list(folder.glob("events.out.tfevents.*"))) == 1
    assert find_artifact(str(folder / "lite.yaml")).card.command.startswith(
        "torchrun --nproc-per-node 2 -m stereo_depth_ros.cli.main train lite "
    )


@pytest.mark.slow
@pytest.mark.usefixtures("_few_scenes")
def test_finished_run_of_several_processes_is_released_anew_by_one(trained_by_two):
    folder, _ = trained_by_two
    before = find_artifact(str(folder / "lite.yaml"))
    (folder / "lite.yaml").unlink()

    assert cli.main(["train", "lite", "-o", str(folder), *TINY]) == 0

    after = find_artifact(str(folder / "lite.yaml"))
    assert after.card.command == before.card.command
    after.verify_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crop", "64x96", "--scene", "32x64"], "does not fit into scenes of"),
        (["--crop", "48x64"], "crop is 48x64; give multiples of 32"),
        (["--steps", "0"], "steps is 0"),
        (["--size", "7x7"], "the graph's size is 7x7; lite needs 32x32 or more"),
        (["--size", "31x640"], "the graph's size is 31x640; lite needs 32x32 or more"),
        (["--seed", str(2**63)], "0 or more is needed, and below 2^63"),
        (["--learning-rate", "-1"], "learning_rate is -1.0, 0 or more is needed"),
        (["--learning-rate", "nan"], "learning_rate is nan, 0 or more is needed"),
        (["--photos", "absent"], "no .jpg or .png below absent"),
        (["--data", "plain=absent"], "absent is not a folder"),
        (["--data", "kitti15=absent"], "data is 'kitti15=absent'; give scenes or LAYOUT=DIR"),
        (["--validate", "plain=absent"], "absent is not a folder"),
    ],
)
def test_wish_that_cannot_be_met_is_one_line(tmp_path, capsys, arguments, message):
    status = cli.main(["train", "lite", "-o", str(tmp_path), *TINY, *arguments])

    error = capsys.readouterr().err
    assert status == 1
    assert message in error
    assert error.startswith("stereo-depth train: ")
    assert error.count("\n") == 1


def test_network_that_cannot_be_trained_is_named(capsys, tmp_path):
    assert cli.main(["train", "sgbm", "-o", str(tmp_path / "out"), *TINY]) == 1

    error = capsys.readouterr().err
    assert error.startswith("stereo-depth train: sgbm cannot be trained; there is lite, fast_")
    assert not (tmp_path / "out").exists()


def test_minutes_stand_for_steps(stand_in, tmp_path):
    sizes = TINY[2:]

    assert cli.main(["train", "lite", "-o", str(tmp_path), *sizes, "--minutes", "7.5"]) == 0

    assert stand_in.made[0].minutes == 7.5


@pytest.mark.parametrize(
    "arguments",
    [["lite"], ["lite", "-o", "out", "--steps", "5", "--minutes", "1"]],
    ids=["no_output", "steps_and_minutes"],
)
def test_usage_is_shown_for_what_is_missing_or_too_much(capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", *arguments])

    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: stereo-depth train")
