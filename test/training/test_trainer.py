"""Training end to end, on scenes of 64x96 px."""

import argparse
import errno
import hashlib
import os
import shlex
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from pairs import write_pairs

from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.checkpoints import WeightsInfo, load_weights, read_info, save_weights
from stereo_depth_ros.cli import train
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.self_test import render_test_pair
from stereo_depth_ros.export import publication
from stereo_depth_ros.export.agreement import outputs_of
from stereo_depth_ros.networks import create_network
from stereo_depth_ros.pictures import write_image
from stereo_depth_ros.training import stream, trainer, validation
from stereo_depth_ros.training.objectives import objective_of
from stereo_depth_ros.training.recipe import Recipe
from stereo_depth_ros.training.recipes import RECIPES, recipe_of
from stereo_depth_ros.training.release import RealPairs, command, release
from stereo_depth_ros.training.schedule import anneal
from stereo_depth_ros.training.trainer import Trainer

RECIPE = Recipe(
    "lite",
    steps=20,
    batch=1,
    scene=(64, 96),
    crop=(64, 96),
    reuse=1000,  # one scene all the time, so that the loss must fall
    learning_rate=3e-3,
    seed=3,
    validate_every=10,
)


@pytest.fixture(autouse=True, scope="module")
def _few_scenes():
    """Drawing and rendering them is what takes long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "TEXTURES_PER_BANK", 2)
        patch.setattr(validation, "_PAIRS", 4)
        yield


class Interrupted(Exception):
    """Stands for a pull of the plug."""


def trained(recipe, folder, until=None, at_step=lambda: None):
    """Train in ``folder``; return the trainer, its loss at every step and its figures.

    With ``until`` the run is interrupted after so many steps.
    """
    losses = []

    def watch(network):
        objective = objective_of(network)

        def loss(*arguments):
            if len(losses) == until:
                raise Interrupted
            at_step()
            terms = objective.loss(*arguments)
            losses.append(sum(float(term.detach()) for term in terms.values()))
            return terms

        return replace(objective, loss=loss)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "objective_of", watch)
        run = Trainer(recipe, folder)
        figures = {}
        try:
            figures = run.run()
        except Interrupted:
            assert until is not None
    return run, losses, figures


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that came to its end, its losses, its figures and the card of its release."""
    run, losses, figures = trained(RECIPE, tmp_path_factory.mktemp("run"))
    pairs = tmp_path_factory.mktemp("some pairs")
    left, right = render_test_pair(64, 96)
    for name, image in (("left", left), ("right", right)):
        write_image(pairs / f"{name}.png", image)
    np.save(pairs / "disp.npy", np.full((64, 96), 3, np.float32))
    return run, losses, figures, release(run, (64, 96), RealPairs(pairs, "plain"))


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def test_loss_falls(finished):
    _, losses, _, _ = finished

    assert len(losses) == RECIPE.steps
    assert np.isfinite(losses).all()
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])


def test_run_leaves_checkpoint_figures_and_log(finished):
    run, _, figures, _ = finished

    assert checkpoint(run.folder)["step"] == run.step == RECIPE.steps
    assert set(figures) == {"epe", "bad2"}
    assert all(np.isfinite(value) for value in figures.values())
    assert list(run.folder.glob("events.out.tfevents.*"))
    assert not list(run.folder.glob("*.partial"))


def test_log_holds_losses_figures_and_the_picture(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(finished[0].folder)).Reload()

    assert [event.step for event in log.Scalars("validation/epe")] == [10, 20]
    assert log.Scalars("validation/bad2")[-1].value == pytest.approx(finished[2]["bad2"], rel=1e-5)
    (*_, picture) = log.Images("pair")
    assert (picture.height, picture.width) == (4 * 32, 4 * 48)


def test_averaged_weights_follow_the_trained_ones(finished):
    run = finished[0]
    start = torch.nn.utils.parameters_to_vector(fresh(RECIPE.seed).parameters())
    now, average = (
        torch.nn.utils.parameters_to_vector(network.parameters()).detach()
        for network in (run.network, run.average)
    )

    assert (now - start).norm() > 0.1
    assert 0 < (average - now).norm() < 0.7 * (now - start).norm()
    assert not run.average.training


def test_network_learns_how_far_to_trust_its_prior(finished):
    start = fresh(RECIPE.seed).aggregation.trust

    # It has nothing to go by but the priors of the samples.
    assert ((finished[0].network.aggregation.trust - start).abs() > 1e-3).all()


def fresh(seed):
    torch.manual_seed(seed)
    return create_network("lite")


def test_interrupted_run_goes_on_where_it_was_last_saved(tmp_path):
    recipe = replace(RECIPE, steps=6, validate_every=2)
    first, losses, _ = trained(recipe, tmp_path, until=5)
    assert len(losses) == 5
    saved = checkpoint(tmp_path)
    assert saved["step"] == 4

    again = Trainer(recipe, tmp_path)

    assert again.step == 4
    for mine, kept in ((again.network, "network"), (again.average, "average")):
        for key, value in mine.state_dict().items():
            assert torch.equal(value, saved[kept][key]), key
    assert any(
        not torch.equal(value, first.network.state_dict()[key])
        for key, value in saved["network"].items()
    )
    assert again.optimiser.state_dict()["state"][0]["step"] == 4

    resumed, losses, _ = trained(recipe, tmp_path)
    assert (resumed.step, len(losses)) == (6, 2)
    assert checkpoint(tmp_path)["step"] == 6

    _, losses, figures = trained(recipe, tmp_path)
    assert (losses, figures) == ([], {})


def test_resumed_run_draws_the_random_numbers_that_would_have_come(tmp_path):
    recipe, drawn = replace(RECIPE, steps=6, validate_every=2), []

    trained(recipe, tmp_path / "whole", at_step=lambda: drawn.append(float(torch.rand(()))))
    trained(recipe, tmp_path / "parts", until=5, at_step=lambda: torch.rand(()))
    again = []
    trained(recipe, tmp_path / "parts", at_step=lambda: again.append(float(torch.rand(()))))

    assert again == drawn[4:]


def test_seed_decides_the_run(tmp_path):
    first, again, other = (
        trained(replace(RECIPE, seed=seed), tmp_path / name, until=2)[1]
        for name, seed in (("first", 0), ("again", 0), ("other", 1))
    )

    assert first == again
    assert first[0] != other[0]


@pytest.mark.parametrize("data", [("scenes",), ("scenes", "plain=DIR:2"), ("plain=DIR",)])
def test_interrupted_and_resumed_run_equals_one_that_was_not_to_the_last_bit(tmp_path, data):
    folder = write_pairs(tmp_path / "pairs")
    data = tuple(text.replace("DIR", str(folder)) for text in data)
    recipe = replace(RECIPE, steps=5, validate_every=2, data=data, accumulate=2, reuse=2)
    whole, losses, figures = trained(recipe, tmp_path / "whole")

    first = trained(recipe, tmp_path / "parts", until=7)[1]  # in the middle of the fourth step
    resumed, then, again = trained(recipe, tmp_path / "parts")

    assert (first[:4], then) == (losses[:4], losses[4:])
    assert again == figures
    states = [checkpoint(run.folder) for run in (whole, resumed)]
    for part in ("network", "average"):
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), key
    moments = [state["optimiser"]["state"] for state in states]
    for index, own in moments[0].items():
        for name, value in own.items():
            assert torch.equal(value, moments[1][index][name]), (index, name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"steps": 9}, "another steps"),
        ({"batch": RECIPE.batch + 1, "learning_rate": 0.5}, "batch, learning rate"),
    ],
)
def test_run_of_another_recipe_is_not_gone_on_with(tmp_path, change, words):
    trained(replace(RECIPE, steps=3, validate_every=1), tmp_path, until=1)
    saved = checkpoint(tmp_path)

    with pytest.raises(ValueError, match=f"{words}; repeat its options, or give another folder"):
        Trainer(replace(RECIPE, **{"steps": 3, **change}), tmp_path)

    assert checkpoint(tmp_path)["step"] == saved["step"]


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", None], ids=["empty", "text", "of_something_else"]
)
def test_checkpoint_that_is_none_is_named_and_left_alone(content, tmp_path):
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save({"step": 3}, path)
    else:
        path.write_bytes(content)
    before = path.read_bytes()

    text = r"checkpoint\.pt is not a complete training checkpoint .* delete it to"
    with pytest.raises(ValueError, match=text):
        Trainer(RECIPE, tmp_path)

    assert path.read_bytes() == before


def test_checkpoint_on_a_full_disk_is_named_and_the_old_one_stays(tmp_path):
    run = Trainer(RECIPE, tmp_path / "run")
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(run.folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        run.checkpoint.write_bytes(b"old")
        with pytest.raises(OSError, match=r"checkpoint\.pt was not written: No space left"):
            run._save(run._gather_states())
        assert run.checkpoint.read_bytes() == b"old"
    finally:
        subprocess.run(["umount", str(run.folder)], check=True)


def test_log_that_cannot_be_written_is_named_after_the_checkpoint_is(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(trainer.SummaryWriter, "add_image", refuse)
    run = Trainer(replace(RECIPE, steps=1), tmp_path)

    with pytest.raises(OSError, match=f"the log in {tmp_path} was not written: No space left on"):
        run.run()

    assert checkpoint(tmp_path)["step"] == 1


def test_release_compares_the_graph_with_pytorch_before_it_is_kept(finished, tmp_path, monkeypatch):
    run = finished[0]
    before = {file: file.read_bytes() for file in run.folder.glob("lite.*")}

    def shifted(*pair):
        outputs = outputs_of(*pair)
        return outputs._replace(disparity=outputs.disparity + 1)

    monkeypatch.setattr(publication, "outputs_of", shifted)

    with pytest.raises(ValueError, match=r"lite\.onnx: the graph disagrees with PyTorch"):
        release(run, (64, 96))

    after = {file: file.read_bytes() for file in run.folder.glob("lite.*")}
    assert after.keys() == before.keys()
    changed = {file.name for file in after if after[file] != before[file]}
    assert changed <= {"lite.safetensors"}


def test_folder_without_photographs_stops_the_run_at_once(tmp_path):
    run = Trainer(replace(RECIPE, photos=str(tmp_path / "none")), tmp_path / "run")

    with pytest.raises(ValueError, match=r"no .jpg or .png below"):
        run.run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps is 0, at least 1"),
        ({"seed": -1}, "seed is -1, 0 or more"),
        ({"batch": 0}, "batch is 0, at least 1"),
        ({"reuse": -1}, "reuse is -1, at least 1"),
        ({"validate_every": 0}, "validate_every is 0, at least 1"),
        ({"accumulate": 0}, "accumulate is 0, at least 1"),
        ({"iterations": 0}, "iterations is 0, at least 1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1, 0 or more"),
        ({"clip": 0.0}, "clip is 0.0, a number above 0"),
        ({"data": ()}, "there is nothing to train on; give data"),
        ({"data": ("scenes", "kitty=DIR")}, "data is 'kitty=DIR'; give scenes or LAYOUT=DIR"),
        ({"validate": "scenes"}, "validate names no folder; leave it out to validate on rendered"),
        ({"minutes": 0.0}, "minutes is 0.0, a number above 0"),
        ({"minutes": float("nan")}, "minutes is nan, a number above 0"),
    ],
)
def test_recipe_that_nothing_can_be_trained_with_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{"network": "lite", **changes})


class Clock:
    """Stands still between two steps, each of which takes ``seconds``."""

    def __init__(self, seconds):
        self.now, self.seconds = 1000.0, seconds

    def tick(self):
        self.now += self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(6.0)
    monkeypatch.setattr(trainer, "monotonic", lambda: clock.now)
    return clock


MINUTE = replace(RECIPE, minutes=1.0, validate_every=4)


def test_training_of_a_minute_ends_in_figures_after_it(clock, tmp_path, monkeypatch):
    rates = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW,
        "step",
        lambda optimiser: (rates.append(optimiser.param_groups[0]["lr"]), step(optimiser)),
    )

    run, losses, figures = trained(MINUTE, tmp_path, at_step=clock.tick)

    assert len(losses) == run.step == 10
    assert set(figures) == {"epe", "bad2"}
    assert checkpoint(tmp_path)["seconds"] == 60
    expected = [RECIPE.learning_rate * anneal(6.0 * step, 60.0) for step in range(10)]
    assert rates == pytest.approx(expected)
    assert trained(MINUTE, tmp_path)[1:] == ([], {})


def test_interrupted_training_of_a_minute_has_the_time_left_that_its_checkpoint_has(
    clock, tmp_path
):
    trained(MINUTE, tmp_path, until=5, at_step=clock.tick)
    clock.now += 3600
    assert checkpoint(tmp_path)["seconds"] == 24

    run, losses, _ = trained(MINUTE, tmp_path, at_step=clock.tick)

    assert (len(losses), run.step) == (6, 10)
    assert checkpoint(tmp_path)["seconds"] == 60


def test_minutes_are_refused_to_several_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(ValueError, match="--minutes works with one process only"):
        Trainer(MINUTE, tmp_path)


def test_released_card_names_a_graph_that_runs(finished):
    run, _, figures, path = finished

    artifact = find_artifact(str(path))
    card = artifact.card

    assert artifact.verify_file() == run.folder / "lite.onnx"
    assert (card.network, card.variant) == ("lite", "base")
    assert (card.licence, card.commercial) == ("Apache-2.0", True)
    assert card.prior == "sgbm"
    assert "96x64" in card.summary
    assert f"{RECIPE.steps} steps" in card.summary
    # Rendered pairs are the same as in training, so are the weights: so must be the figures.
    measured = {name: card.measured[name] for name in figures}
    assert measured == pytest.approx(figures, abs=2e-3)

    engine = open_engine(str(path))
    left, right = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    disparity, confidence = engine.infer(left, right)
    engine.close()
    network, info = load_weights(run.folder / "lite.safetensors")
    assert (info.network, info.commercial) == ("lite", True)
    prior = find_prior(SgbmEngine(), left, right, network.max_disparity)
    expected = outputs_of(network, left, right, prior)
    np.testing.assert_allclose(disparity, expected.disparity, atol=1e-2)
    np.testing.assert_allclose(confidence, expected.confidence, atol=1e-3)
    assert np.abs(disparity - outputs_of(network, left, right).disparity).mean() > 0.1


def test_released_weights_are_the_averaged_ones(finished):
    run, _, _, _ = finished

    network, _ = load_weights(run.folder / "lite.safetensors")

    for key, value in network.state_dict().items():
        assert torch.equal(value, run.average.state_dict()[key]), key


def parsed(text, launcher):
    """Read a command line as the program does; return its recipe and size."""
    words = shlex.split(text)
    assert words[: len(launcher) + 1] == [*launcher, "train"]
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    arguments = parser.parse_args(words[len(launcher) + 1 :])
    return train.make_recipe(arguments), arguments.size


def test_card_holds_the_command_that_makes_the_run_anew(finished):
    text = find_artifact(str(finished[3])).card.command

    evaluated = text.index(" --evaluate 'some pairs")
    assert text.endswith("' --layout plain")
    assert parsed(text[:evaluated], ["stereo-depth"]) == (RECIPE, (64, 96))


def test_card_holds_what_the_graph_scores_beside_sgbm(finished):
    _, _, figures, card = finished

    measured = find_artifact(str(card)).card.measured

    assert {name: measured[name] for name in figures} == {
        name: round(value, 3) for name, value in figures.items()
    }
    real = measured["real"]
    assert real["on"].startswith("1 pairs, medians")
    assert set(real) == {"on", "sha256", "lite", "sgbm", "sgbm_hh"}
    engine = open_engine(str(card))
    error = np.abs(engine.infer(*render_test_pair(64, 96))[0] - 3)
    engine.close()
    assert real["lite"]["epe"] == pytest.approx(error.mean(), abs=2e-3)
    assert real["lite"]["bad1"] == pytest.approx(100 * (error > 1).mean(), abs=0.02)
    assert real["lite"]["bad2"] == pytest.approx(100 * (error > 2).mean(), abs=0.02)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe("lite"),
        Recipe("lite", photos="my holiday's photos", learning_rate=2.5e-5, steps=7),
        Recipe("lite", minutes=7.5, seed=1),
        Recipe("lite", batch=3, scene=(400, 656), crop=(32, 96), reuse=9, seed=4, validate_every=1),
        Recipe("lite", data=("scenes:3", "plain=my pairs:0.5"), validate="kitti=some"),
        replace(RECIPES["smoe_stereo"], freeze=("cnet.*", "!*.1.*"), freeze_norm=False, clip=2.0),
        replace(RECIPES["lite_any_stereo"], variant="las2_s", accumulate=5, weight_decay=0.25),
    ],
    ids=["defaults", "photographs", "minutes", "others", "data", "frozen", "variant"],
)
def test_command_says_the_whole_recipe(recipe):
    torchrun = ["torchrun", "--nproc-per-node", "8", "-m", "stereo_depth_ros.cli.main"]

    assert parsed(command(recipe, 1, (480, 640)), ["stereo-depth"]) == (recipe, (480, 640))
    assert parsed(command(recipe, 8, (360, 640)), torchrun) == (recipe, (360, 640))


def test_command_of_the_defaults_is_short():
    assert command(Recipe("lite"), 1, (480, 640)) == "stereo-depth train lite -o lite_run"


def test_run_can_begin_from_earlier_weights(finished, tmp_path):
    earlier, card = finished[0], finished[3]
    recipe = replace(RECIPE, steps=1, begin=str(card.with_suffix(".safetensors")))

    run = Trainer(recipe, tmp_path)

    for network in (run.network, run.average):
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, earlier.average.state_dict()[key])
    assert "--begin lite.safetensors" in command(recipe, 1, (480, 640))


def test_card_says_what_a_run_began_from(finished, tmp_path):
    begin = tmp_path / "theirs.safetensors"
    entries = finished[0].average.state_dict()
    save_weights(begin, entries, WeightsInfo("lite", "base", {}, "CC-BY-NC-4.0", False))
    run, _, _ = trained(replace(RECIPE, steps=1, begin=str(begin)), tmp_path / "run")

    card = find_artifact(str(release(run, (64, 96)))).card

    digest = hashlib.sha256(begin.read_bytes()).hexdigest()
    assert f"for 1 steps, begun from theirs.safetensors ({digest[:12]}…)" in card.summary
    # Of theirs are the terms too.
    assert (card.licence, card.commercial) == ("CC-BY-NC-4.0", False)
    info = read_info(tmp_path / "run" / "lite.safetensors")
    assert (info.licence, info.commercial) == ("CC-BY-NC-4.0", False)


def test_weights_of_another_network_are_refused_to_begin_from(tmp_path):
    info = WeightsInfo("lite_any_stereo", "las1")
    save_weights(
        tmp_path / "las.safetensors", create_network("lite_any_stereo", "las1").state_dict(), info
    )

    with pytest.raises(ValueError, match="holds weights of lite_any_stereo, not of lite"):
        Trainer(replace(RECIPE, begin=str(tmp_path / "las.safetensors")), tmp_path / "run")


def las2_s(path, **terms):
    """Weights of the smallest LAS2 as if they were imported."""
    torch.manual_seed(0)
    network = create_network("lite_any_stereo", "las2_s")
    save_weights(path, network.state_dict(), WeightsInfo("lite_any_stereo", "las2_s", **terms))
    return path


TUNE = replace(
    recipe_of("lite_any_stereo"), steps=1, crop=(32, 64), scene=(32, 64), batch=1, accumulate=1
)


def test_imported_weights_are_tuned_on_pairs_and_keep_their_terms(tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    begin = las2_s(tmp_path / "las2_s.safetensors", licence="MIT", commercial=False)
    recipe = replace(
        TUNE, begin=str(begin), data=(f"plain={pairs}",), validate=f"plain={pairs}", steps=2
    )

    run, losses, figures = trained(recipe, tmp_path / "run")
    card = find_artifact(str(release(run, (32, 64)))).card

    assert len(losses) == 2
    assert set(figures) == {"epe", "bad2"}
    tuned, info = load_weights(tmp_path / "run" / "lite_any_stereo.safetensors")
    assert (info.variant, info.licence, info.commercial) == ("las2_s", "MIT", False)
    assert (card.network, card.variant) == ("lite_any_stereo", "las2_s")
    assert (card.licence, card.commercial) == ("MIT", False)
    assert (
        "lite_any_stereo las2_s, for 64x32 images, trained on plain=pairs for 2 steps, begun"
        in (card.summary)
    )
    assert card.measured["on"] == "3 pairs of pairs, means over the pixels with truth"
    assert card.measured["epe"] == pytest.approx(figures["epe"], abs=1e-3)
    assert "--data plain=pairs" in card.command
    assert "--begin las2_s.safetensors --validate plain=pairs" in card.command
    before = load_weights(begin)[0].state_dict()
    moved = [
        key for key, value in tuned.state_dict().items() if not torch.equal(value, before[key])
    ]
    # Statistics of batch norms are frozen, their scales are not.
    assert not any("running" in key for key in moved)
    assert len(moved) == sum(1 for _ in tuned.parameters())


def test_weights_from_nothing_are_under_the_terms_of_who_trained_them(tmp_path):
    run, _, _ = trained(replace(TUNE, variant="las2_s"), tmp_path)

    card = find_artifact(str(release(run, (32, 64)))).card

    assert card.licence.startswith("your own: trained from random weights")
    assert card.commercial


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": (64, 80)}, "crop is 64x80; give multiples of 32"),
        (
            {"freeze": ("nothing.*",)},
            r"nothing to freeze is called 'nothing\.\*'; parts are refine_1",
        ),
        ({"freeze": ("*",)}, "everything is frozen"),
        ({"iterations": 3}, "lite_any_stereo las2_m has no iterations to set"),
        ({"variant": "las3"}, "lite_any_stereo has no variant 'las3'"),
    ],
)
def test_recipe_that_does_not_fit_the_network_is_refused(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Trainer(replace(TUNE, **changes), tmp_path)


def test_weights_of_another_variant_are_refused_to_begin_from(tmp_path):
    begin = las2_s(tmp_path / "las2_s.safetensors")

    with pytest.raises(ValueError, match="holds las2_s, not las2_m"):
        Trainer(replace(TUNE, begin=str(begin), variant="las2_m"), tmp_path / "run")


def test_folder_without_pairs_stops_the_run_at_once(tmp_path):
    run = Trainer(replace(TUNE, variant="las2_s", data=(f"plain={tmp_path}",)), tmp_path / "run")

    with pytest.raises(ValueError, match="holds no pair with truth; layout plain is NAME/left"):
        run.run()


def test_iterations_are_those_of_the_recipe_in_training_alone(tmp_path):
    recipe = replace(TUNE, variant="las2_h", iterations=2)

    run = Trainer(recipe, tmp_path)

    assert (run.network.iterations, run.average.iterations) == (2, 4)


def test_step_that_the_memory_does_not_hold_says_what_to_change(tmp_path, monkeypatch):
    def fail(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    run = Trainer(replace(RECIPE, steps=1), tmp_path)
    monkeypatch.setattr(Trainer, "_train_step", fail)

    with pytest.raises(ValueError, match="halve --batch and double --accumulate"):
        run.run()
