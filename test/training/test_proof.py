"""Every network learns what its recipe trains, and nothing that it freezes."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pairs import write_pairs

import stereo_depth_ros
from stereo_depth_ros.networks import create_network
from stereo_depth_ros.scenes.synthetic import pairs as synthetic
from stereo_depth_ros.training.freezing import freeze, set_training_mode
from stereo_depth_ros.training.half import keep_float32_parts
from stereo_depth_ros.training.loading import LoadedPair
from stereo_depth_ros.training.objectives import objective_of
from stereo_depth_ros.training.pair import Pair
from stereo_depth_ros.training.pair_stream import collate
from stereo_depth_ros.training.recipes import recipe_of
from stereo_depth_ros.training.trainer import Trainer

ROOT = Path(stereo_depth_ros.__file__).parents[1]
SIZE = (32, 96)
SMALL = [("lite", "base", {}), ("lite_any_stereo", "las2_s", {})]
OTHERS = [
    ("lite_any_stereo", "las1", {}),
    ("lite_any_stereo", "las2_h", {"iterations": 1}),
    ("s2m2", "s", {"iterations": 1}),
    ("smoe_stereo", "damv2_vits", {"iterations": 2}),
    ("fast_foundation_stereo", "pruned", {"iterations": 1, "max_disparity": 64}),
    ("waft_stereo", "dav2_vits", {"iterations": 1}),
]
LARGEST = [("foundation_stereo", "vits", {"iterations": 1, "max_disparity": 64})]
NETWORKS = [
    *SMALL,
    *(pytest.param(*each, marks=pytest.mark.slow) for each in OTHERS),
]


@pytest.fixture(scope="module")
def batch():
    """Two rendered pairs, always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "TEXTURES_PER_BANK", 2)
        rendered = list(synthetic.draw_pairs(2, SIZE, seed=1))
    nothing = np.zeros((2, *SIZE), np.float32)
    return collate(
        [
            LoadedPair(Pair(p.left, p.right, p.disparity, p.visible.astype(np.float32)), *nothing)
            for p in rendered
        ]
    )


def create(name, variant, config):
    torch.manual_seed(0)
    return create_network(name, variant, **config)


def measure(network, batch):
    objective = objective_of(network)
    terms = objective.loss(objective.predict(network, *batch.inputs_of(network)), batch)
    return sum(terms.values())


@pytest.mark.parametrize(("name", "variant", "config"), NETWORKS)
def test_network_learns_two_pairs_by_heart(name, variant, config, batch):
    network = create(name, variant, config).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)

    losses = []
    for _ in range(13):
        optimiser.zero_grad()
        loss = measure(network, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))

    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize(
    ("name", "variant", "config"),
    [*NETWORKS, *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGEST)],
)
def test_gradient_reaches_what_the_recipe_trains_and_nothing_else(name, variant, config, batch):
    network, recipe = create(name, variant, config), recipe_of(name)
    freeze(network, recipe.freeze)
    set_training_mode(network, recipe.freeze_norm)
    statistics = {key: value.clone() for key, value in network.named_buffers()}

    measure(network, batch).backward()

    parameters = dict(network.named_parameters())
    trained = {key for key, value in parameters.items() if value.requires_grad}
    assert {key for key, value in parameters.items() if value.grad is not None} == trained
    assert all(parameters[key].grad.isfinite().all() for key in trained)
    # Some see nothing in one step: an expert that was not chosen, a ReLU that is off.
    assert sum(bool(parameters[key].grad.any()) for key in trained) > 0.6 * len(trained)
    assert all(trained.isdisjoint([key]) == is_frozen(name, key) for key in parameters)
    moved = [k for k, v in network.named_buffers() if not torch.equal(v, statistics[k])]
    assert bool(moved) == (not recipe.freeze_norm)


def is_frozen(name, key):
    """Whether the authors freeze it, in our words."""
    if name == "foundation_stereo":
        return key.startswith("feature.dino.depth_anything.pretrained.")
    if name == "smoe_stereo":
        return key.startswith("backbone.model.vfm_model.pretrained.") and ".lora_" not in key
    if name == "waft_stereo":
        return key.startswith("encoder.encoder.base_model.") and ".lora_" not in key
    return False


@pytest.mark.filterwarnings("ignore:TF32")  # of a library that is switched off
@pytest.mark.parametrize(
    ("name", "variant", "config"),
    [*NETWORKS, *(pytest.param(*each, marks=pytest.mark.slow) for each in LARGEST)],
)
def test_bfloat16_teaches_what_float32_does(name, variant, config, batch):
    network = create(name, variant, config).train()

    def measure_seeded():
        torch.manual_seed(2)
        return float(measure(network, batch).detach())

    expected = measure_seeded()
    keep_float32_parts(network, torch.device("cpu"))
    # OneDNN's 3-D convolutions in bfloat16 abort the process.
    with (
        torch.backends.mkldnn.flags(enabled=False),
        torch.autocast("cpu", torch.bfloat16),
    ):
        half = measure_seeded()

    assert half != expected
    assert half == pytest.approx(expected, rel=0.03)


def test_part_that_needs_float32_has_it_within_autocast():
    network = create("s2m2", "s", {"iterations": 1})
    keep_float32_parts(network, torch.device("cpu"))
    features = torch.randn(2, 128, 4, 8)

    with torch.no_grad():
        expected = network.disp_init(features.bfloat16().float())
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network.disp_init(features.bfloat16())

    for value, same in zip(outputs, expected, strict=True):
        assert value.dtype == torch.float32
        assert torch.equal(value, same)


def test_frozen_part_keeps_its_statistics_and_the_last_pattern_decides():
    network = create("lite_any_stereo", "las2_s", {})

    freeze(network, ["fnet.*", "stem_2.*", "!fnet.fpn*"])
    set_training_mode(network, freeze_norm=False)

    parameters = dict(network.named_parameters())
    trained = {key for key, value in parameters.items() if value.requires_grad}
    assert trained == {
        key
        for key in parameters
        if key.startswith("fnet.fpn") or not key.startswith(("fnet.", "stem_2."))
    }
    norms = {
        key: module.training
        for key, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    }
    assert {key for key, trains in norms.items() if trains} == {
        key for key in norms if f"{key}.weight" in trained
    }
    assert 0 < sum(norms.values()) < len(norms)


TUNE = replace(recipe_of("lite_any_stereo"), variant="las2_s", steps=2, crop=(32, 64))
TRAIN = """
import sys
from dataclasses import replace
from pathlib import Path
from stereo_depth_ros.training.recipes import recipe_of
from stereo_depth_ros.training.trainer import Trainer
recipe = replace(recipe_of("lite_any_stereo"), variant="las2_s", steps=2, crop=(32, 64))
data = "plain=" + sys.argv[1]
recipe = replace(recipe, data=(data,), validate=data, batch=1, accumulate=1)
Trainer(recipe, Path(sys.argv[2])).run()
"""


def tune(pairs, folder, batch, accumulate):
    """Return by how much two steps move the weights."""
    data = f"plain={pairs}"
    recipe = replace(TUNE, data=(data,), validate=data, batch=batch, accumulate=accumulate)
    run = Trainer(recipe, folder)
    start = torch.nn.utils.parameters_to_vector(run.network.parameters()).detach().clone()
    run.run()
    return torch.nn.utils.parameters_to_vector(run.network.parameters()).detach() - start


# AdamW makes much of gradients that are next to nothing, of which the last bits differ.
SAME = 0.01


def test_two_batches_of_one_pair_teach_what_one_batch_of_two_does(tmp_path):
    pairs = write_pairs(tmp_path / "pairs")

    at_once = tune(pairs, tmp_path / "at_once", batch=2, accumulate=1)
    one_by_one = tune(pairs, tmp_path / "one_by_one", batch=1, accumulate=2)

    assert at_once.norm() > 0.1
    assert (at_once - one_by_one).norm() < SAME * at_once.norm()


@pytest.mark.slow
def test_two_processes_learn_what_one_does_from_twice_the_batch(tmp_path):
    pairs, script = write_pairs(tmp_path / "pairs"), tmp_path / "train.py"
    script.write_text(TRAIN)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", str(script), str(pairs), str(tmp_path / "two")],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    moved = tune(pairs, tmp_path / "one", batch=2, accumulate=1)

    one, two = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two")
    )
    assert len(two["states"]) == 2
    apart = sum(
        (two["network"][key] - one["network"][key]).square().sum() for key in one["network"]
    )
    assert apart.sqrt() < SAME * moved.norm()
