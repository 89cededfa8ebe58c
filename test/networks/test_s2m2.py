"""S²M² against what the published implementation returned."""

import json

import numpy as np
import pytest
import torch
from generator import fill_one, stereo_pair
from parity import DATA, Fixture, as_tensor, create_recorded

from stereo_depth_ros.networks import create_network, s2m2
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.s2m2.attention import encode_offsets
from stereo_depth_ros.networks.s2m2.matching import assign
from stereo_depth_ros.networks.s2m2.padding import BlurredPadding

# The larger ones differ in widths alone.
LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("l", "xl")]
FIXTURES = ["s", "s_neg", "m", *LARGE]


def build(name):
    """A fixture's network with its weights, in evaluation."""
    fixture = Fixture("s2m2", name)
    seed = fixture.info["weights"]["seed"]
    scale = np.float32(fixture.info["weights"]["weight_scale"])
    state = {
        key: torch.from_numpy(fill_one(key, shape, seed) * (scale if len(shape) > 1 else 1))
        for key, shape in fixture.shapes.items()
    }
    with torch.device("meta"):  # the largest would take gigabytes twice
        network = create_recorded("s2m2", name)
    network.load_state_dict(state, assign=True)
    return network.eval()


def images(fixture):
    recipe = fixture.info["input"]
    return [as_tensor(x) for x in stereo_pair(recipe["height"], recipe["width"], recipe["seed"])]


def watch(module, seen):
    """Append what each call of ``module`` returns to ``seen``."""
    module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))


def maps_of(network, left, right):
    """Disparity, confidence and visibility at full size."""
    maps, upsample = [], network.upsample
    network.upsample = lambda *state: maps.append(upsample(*state)) or maps[-1]
    network(left, right)
    del network.upsample
    return maps[0].split(1, dim=1)


@torch.inference_mode()
def stages(network, left, right):
    """Every recorded stage, by name."""
    names = [name for name, _module in network.named_children()]
    seen = {name: [] for name in [*names, "global_refiner.out_feat"]}
    for name, calls in seen.items():
        watch(network.get_submodule(name), calls)
    seen |= {"stages": [], "costs": []}
    for module in (network.refiner.corr_feat1, network.refiner.corr_feat2):
        module.register_forward_pre_hook(lambda _module, inputs: seen["costs"].extend(inputs))
    for stage in network.transformer.uformer_list:
        watch(stage, seen["stages"])
    disparity, confidence, visibility = maps_of(network, left, right)

    quarter, half = seen["cnn_backbone"][0]
    result = {"cnn_4x": quarter, "cnn_2x": half}
    for level, scale in enumerate(seen["feat_pyramid"][0]):
        result[f"pyramid_z{level}"] = scale
    for number, scales in enumerate(seen["stages"]):
        for level, scale in enumerate(scales):
            result[f"mrt{number}_z{level}"] = scale

    # (B, 1, right, H, left) and (B, right, H, left); recorded are (B, H, left, right).
    pairs, *first, match = seen["disp_init"][0]
    result["cost_volume"] = pairs.squeeze(1).permute(0, 2, 3, 1)
    result["match_prob"] = match.permute(0, 2, 3, 1)
    result["match_index"] = match.argmax(1, keepdim=True).float()
    result["disp_init"], result["conf_init"], result["occ_init"] = first

    result["global_update"] = 100 * seen["global_refiner.out_feat"][0]
    result["disp_global"] = seen["global_refiner"][0]
    result["fusion"], result["ctx"] = seen["feat_fusion_layer"][0], seen["ctx_feat"][0]

    result["corr_level1"], result["corr_level2"] = (16 * costs for costs in seen["costs"][:2])
    for number, refined in enumerate(seen["refiner"], start=1):
        for name, value in zip(("hidden", "disp", "conf", "occ"), refined, strict=True):
            result[f"{name}_it{number}"] = value

    result["mask4x_logits"] = logits = seen["upsample_mask_4x_refine"][0]
    for name in ("disp", "conf", "occ"):
        refined = result[f"{name}_it3"] * (4 if name == "disp" else 1)
        blocks = torch.nn.functional.pixel_unshuffle(logits, 4)
        result[f"{name}_up4"] = convex_upsample(refined, blocks, border="replicate")
    result["mask1x_logits"] = seen["upsample_mask_1x"][0]
    result["disp"], result["conf"], result["occ"] = disparity, confidence, visibility
    return result


def assert_close(got, golden, about, name):
    assert list(got.shape) == about["full_shape"], name
    got = got[tuple(slice(None, None, step) for step in about["step"])]
    excess = np.abs(got.numpy() - golden) - about["rtol"] * np.abs(golden)
    assert excess.max() <= about["atol"], name


@pytest.mark.parametrize("variant", FIXTURES)
def test_keys_and_shapes_are_the_published_ones(variant):
    with torch.device("meta"):
        state = create_recorded("s2m2", variant).state_dict()

    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == Fixture("s2m2", variant).shapes


@pytest.mark.parametrize("variant", FIXTURES)
def test_every_stage_is_the_published_one(variant):
    fixture = Fixture("s2m2", variant)

    got = stages(build(variant), *images(fixture))

    assert set(fixture.arrays) <= set(got)
    for name, about in fixture.info["arrays"].items():
        assert_close(got[name], fixture.arrays[name], about, name)


@pytest.fixture
def parts():
    info = json.loads((DATA / "s2m2" / "parts.json").read_text())
    with np.load(DATA / "s2m2" / "parts.npz") as arrays:
        return info, dict(arrays)


def test_padding_is_the_published_blur(parts):
    info, golden = parts
    image = as_tensor(stereo_pair(96, 160, 0)[0][:83, :131])
    padding = BlurredPadding(83, 131, 32)

    padded = padding.pad(image)

    assert_close(padded, golden["padded"], info["arrays"]["padded"], "padded")
    assert torch.equal(padding.crop(padded), image)


@pytest.mark.parametrize(("name", "rows", "columns"), [("3x5", 3, 5), ("1x4", 1, 4)])
def test_relative_positions_are_the_published_table(parts, name, rows, columns):
    info, golden = parts
    y, x = (axis.ravel() for axis in np.mgrid[:rows, :columns])

    table = np.concatenate(
        [
            encode_offsets(columns)[x[:, None], x],
            encode_offsets(rows)[y[:, None], y],
        ],
        axis=-1,
    )

    key = f"pos_enc_{name}"
    assert_close(torch.from_numpy(table), golden[key], info["arrays"][key], key)


@pytest.fixture(scope="module")
def network():
    return build("s")


@pytest.mark.parametrize(("height", "width"), [(51, 77), (20, 33)])
@torch.inference_mode()
def test_any_size_gives_maps_of_that_size(network, height, width):
    left, right = (as_tensor(x) for x in stereo_pair(height, width))

    disparity, confidence = network(left, right)

    assert disparity.shape == confidence.shape == (1, 1, height, width)
    assert disparity.dtype == confidence.dtype == torch.float32
    assert disparity.min() >= 0
    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.std() > 0.01


@torch.inference_mode()
def test_confidence_is_that_of_the_network_where_it_sees_the_point(network):
    left, right = (as_tensor(x) for x in stereo_pair(64, 96))

    disparity, confidence, visibility = maps_of(network, left, right)
    output = network(left, right)

    assert torch.equal(output.disparity, disparity)
    assert torch.equal(output.confidence, confidence * visibility)


@torch.inference_mode()
def test_a_batch_is_its_pairs_one_by_one(network):
    pairs = [[as_tensor(x) for x in stereo_pair(64, 96, seed)] for seed in (0, 1)]

    together = network(*(torch.cat(views) for views in zip(*pairs, strict=True)))

    for number, pair in enumerate(pairs):
        for got, alone in zip(together, network(*pair), strict=True):
            torch.testing.assert_close(got[number : number + 1], alone, atol=1e-3, rtol=1e-4)


@torch.inference_mode()
def test_negative_disparities_appear_only_where_they_are_allowed(network):
    left, right = (as_tensor(x) for x in stereo_pair(64, 96))
    signed = create_network("s2m2", "s", allow_negative=True).eval()
    signed.load_state_dict(network.state_dict())

    assert network(right, left).disparity.min() >= 0
    assert signed(right, left).disparity.min() < -1


@torch.inference_mode()
def test_without_iterations_the_first_match_is_upsampled(network):
    left, right = (as_tensor(x) for x in stereo_pair(32, 64))
    quick = create_network("s2m2", "s", iterations=0).eval()
    quick.load_state_dict(network.state_dict())

    assert quick(left, right).disparity.isfinite().all()
    assert not torch.equal(quick(left, right).disparity, network(left, right).disparity)


def test_a_left_column_gives_away_no_more_than_its_mass():
    torch.manual_seed(0)
    match = assign(10 * torch.randn(1, 8, 2, 8), allow_negative=False)  # (B, right, H, left)

    held = match.sum(1)
    assert held.max() <= 1 + 1e-5
    assert held.max() > 0.5


@pytest.mark.parametrize("variant", s2m2.VARIANTS)
def test_a_checkpoint_is_recognised_by_its_shapes(variant):
    assert s2m2.recognise(Fixture("s2m2", variant).shapes) == {"variant": variant}


def test_another_networks_checkpoint_is_not_recognised():
    assert s2m2.recognise(Fixture("lite_any_stereo", "las2_s").shapes) is None
    shapes = Fixture("s2m2", "l").shapes
    assert s2m2.recognise({key: x for key, x in shapes.items() if "list.2" not in key}) is None


@pytest.mark.parametrize(("variant", "config"), [("xs", {}), ("s", {"iterations": -1})])
def test_a_network_that_cannot_be_built_is_refused(variant, config):
    with pytest.raises(ValueError, match=r"no variant 'xs'|iterations is -1"):
        create_network("s2m2", variant, **config)
