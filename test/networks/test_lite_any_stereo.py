import functools
import re
from collections import defaultdict

import numpy as np
import pytest
import torch
from generator import fill, stereo_pair
from parity import DATA, Fixture, as_tensor

from stereo_depth_ros.networks import create_network
from stereo_depth_ros.networks.lite_any_stereo import VARIANTS, recognise

# What only the training of the published network returns.
TRAINING = {"disp_bilinear"}


@functools.cache
def fixture(variant):
    return Fixture("lite_any_stereo", variant)


@functools.cache
def network(variant, **config):
    recorded = fixture(variant)
    built = create_network("lite_any_stereo", variant, **config).eval()
    built.load_state_dict(
        {
            key: torch.from_numpy(value) * (recorded.info["weight_scale"] if value.ndim > 1 else 1)
            for key, value in fill(recorded.shapes, recorded.info["seed"]).items()
        }
    )
    return built


def pair(height=96, width=160, seed=0):
    return [as_tensor(image) for image in stereo_pair(height, width, seed)]


@functools.cache
def trace(variant, **config):
    """Return inputs and output of every call of every module, by name, and the network's output."""
    built, calls = network(variant, **config), defaultdict(list)

    def remember(name):
        return lambda _, inputs, output: calls[name].append((inputs, output))

    hooks = [part.register_forward_hook(remember(name)) for name, part in built.named_modules()]
    with torch.no_grad():
        output = built(*pair())
    for hook in hooks:
        hook.remove()
    return calls, output


@functools.cache
@torch.no_grad()
def predictions(variant):
    """Return what the steps of our network predict: the first match, and each refinement."""
    return list(network(variant).predictions(*pair()))


def stage(variant, name):
    """Return what our network computes for the fixture's array ``name``."""
    iteration = re.match(r"iter(\d)_(.*)", name)
    if iteration:
        return refinement_stage(variant, int(iteration[1]), iteration[2])

    calls, output = trace(variant)
    (images,), (p2, p3, p4) = calls["fnet"][0]
    hourglass = "cost_agg_2d" if variant == "las1" else "cost_agg"
    match name.split("_", 1):
        case ["agg", "out"]:
            return calls[hourglass][0][1]
        case ["agg", part]:
            return calls[f"{hourglass}.{part}"][0][1]
    match name:
        case "input_norm":
            return images[:1]
        case "left_p2":
            return p2[:1]
        case "left_p3":
            return p3[:1]
        case "left_p4":
            return p4[:1]
        case "left_c5":
            return calls["fnet.fpn_layer4"][0][0][0][:1]
        case "right_p2":
            return p2[1:]
        case "corr_volume" if variant == "las1":
            return calls["cost_stem_3d"][0][0][0][:, 0]
        case "corr_volume" | "cost_stem":
            return calls[hourglass][0][0][0]
        case "gwc_volume":
            return network(variant).correlate(p2[:1], p2[1:], groups=8)
        case "disp_quarter":
            return network(variant).regress(calls[hourglass][0][1])[1]
        case "stem_2x":
            return calls["stem_2"][0][1]
        case "upsample_logits":
            return calls["refine_3"][0][1]
        case "refine_1" | "refine_2":
            return calls[name][0][1]
        case "context_hidden":
            return calls["update_block"][0][0][0]
        case "context_input":
            return calls["update_block"][0][0][1]
        case "context_channel_att":
            return calls["cam"][0][1]
        case "context_spatial_att":
            return calls["sam"][0][1]
        case "disp_final":
            return output.disparity
        case "disp_init_bilinear":
            return predictions(variant)[0].disparity
    raise LookupError(name)


def refinement_stage(variant, i, name):
    calls, _ = trace(variant, iterations=i + 1)  # Only the last step is upsampled.
    (disparity, taps), motion = calls["update_block.encoder"][i]
    match name:
        case "lookup":
            return taps
        case "motion":
            return motion
        case "hidden":
            return calls["update_block.gru04"][i][1]
        case "disp":
            return disparity + calls["update_block.disp_head"][i][1]
        case "mask_feat":
            return calls["spx_2_gru"][0][0][0]
        case "upsample_logits":
            return calls["spx_gru"][0][1]
        case "disp_up":
            return predictions(variant)[i + 1].disparity
    raise LookupError(name)


STAGES = [
    pytest.param(variant, name, id=f"{variant}-{name}")
    for variant in VARIANTS
    for name in fixture(variant).arrays
    if name not in TRAINING
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_keys_and_shapes_are_those_of_the_published_weights(variant):
    ours = {
        key: tuple(value.shape)
        for key, value in create_network("lite_any_stereo", variant).state_dict().items()
    }

    assert ours == fixture(variant).shapes


@pytest.mark.parametrize(("variant", "name"), STAGES)
def test_stage_equals_that_of_the_published_network(variant, name):
    recorded = fixture(variant)
    about = recorded.info["arrays"][name]

    ours = stage(variant, name)

    assert list(ours.shape) == about["full_shape"]
    steps = about["stride"] or [1] * ours.ndim
    kept = ours[tuple(slice(None, None, step) for step in steps)].numpy()
    np.testing.assert_allclose(kept, recorded.arrays[name], rtol=0, atol=about["atol"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_any_size_gives_maps_of_that_size(variant):
    with torch.no_grad():
        disparity, confidence = network(variant)(*pair(75, 133))

    assert disparity.shape == confidence.shape == (1, 1, 75, 133)
    assert disparity.dtype == confidence.dtype == torch.float32
    assert disparity.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_confidence_is_between_0_and_1_and_not_everywhere_the_same(variant):
    confidence = trace(variant)[1].confidence

    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.std() > 0.01


@pytest.mark.parametrize("variant", VARIANTS)
def test_two_pairs_in_a_batch_give_what_each_gives_alone(variant):
    first, second = pair(64, 96, seed=0), pair(64, 96, seed=1)
    with torch.no_grad():
        left, right = (torch.cat([first[view], second[view]]) for view in range(2))
        together = network(variant)(left, right)
        alone = [network(variant)(*first), network(variant)(*second)]

    for i in range(2):
        torch.testing.assert_close(together.disparity[i], alone[i].disparity[0], atol=2e-3, rtol=0)
        torch.testing.assert_close(
            together.confidence[i], alone[i].confidence[0], atol=1e-3, rtol=0
        )


def test_refinement_that_still_moves_lowers_the_confidence():
    resting = create_network("lite_any_stereo", "las2_h").eval()
    resting.load_state_dict(network("las2_h").state_dict())
    head = resting.update_block.disp_head.conv[4]
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    moving = create_network("lite_any_stereo", "las2_h").eval()
    moving.load_state_dict(resting.state_dict())
    torch.nn.init.constant_(moving.update_block.disp_head.conv[4].bias, 0.05)

    with torch.no_grad():
        calm, restless = (built(*pair()).confidence for built in (resting, moving))

    assert restless.mean() < 0.9 * calm.mean()


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_is_recognised_by_its_shapes(variant):
    assert recognise(fixture(variant).shapes) == {"variant": variant}


@pytest.mark.parametrize(
    ("other", "variant"),
    [
        (file.parent.name, file.name.removesuffix(".shapes.json"))
        for file in sorted(DATA.glob("*/*.shapes.json"))
        if file.parent.name != "lite_any_stereo"
    ],
)
def test_other_network_is_not_recognised(other, variant):
    assert recognise(Fixture(other, variant).shapes) is None


def test_refinement_without_iterations_is_refused():
    with pytest.raises(ValueError, match="1 or more"):
        create_network("lite_any_stereo", "las2_h", iterations=0)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "las2_h"])
def test_iterations_are_refused_where_there_is_no_refinement(variant):
    with pytest.raises(ValueError, match="iterations"):
        create_network("lite_any_stereo", variant, iterations=4)
