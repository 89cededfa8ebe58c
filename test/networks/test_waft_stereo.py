"""WAFT-Stereo against what the published implementation returned."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from generator import fill_one, stereo_pair
from parity import Fixture, as_tensor, create_recorded
from torch.nn import functional as F

from stereo_depth_ros.networks import create_network, waft_stereo
from stereo_depth_ros.networks.layers.dinov2 import DinoV2, ViTSize
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.waft_stereo.padding import MeanPadding
from stereo_depth_ros.networks.waft_stereo.uncertainty import narrow_share, rate_error
from stereo_depth_ros.networks.waft_stereo.warp import Warp

SMALL = ["dav2_vits", "dav2_vits_i5", "dav2_vits_pad"]
LARGE = ["dav2_vitb", "dav2_vitl"]  # of other widths, the last deeper too
STAGES = [
    pytest.param(variant, stage, marks=[pytest.mark.slow] if variant in LARGE else [])
    for variant in SMALL + LARGE
    for stage in Fixture("waft_stereo", variant).arrays
]


@lru_cache(maxsize=1)
def load(variant):
    """The fixture and its network with its weights, in evaluation."""
    fixture = Fixture("waft_stereo", variant)
    scale = np.float32(fixture.info["weight_scale"])
    with torch.device("meta"):  # the largest would take gigabytes twice
        network = create_recorded("waft_stereo", variant)
    needed = network.own_entries(fixture.shapes)
    state = {
        key: torch.from_numpy(
            fill_one(key, shape, fixture.info["seed"]) * (scale if len(shape) > 1 else 1)
        )
        for key, shape in needed.items()
    }
    network.load_state_dict(state, assign=True)
    return fixture, network.eval()


def images(seed=0, size=(96, 160)):
    return [as_tensor(view) for view in stereo_pair(*size, seed)]


@lru_cache(maxsize=1)
@torch.inference_mode()
def stages(variant):
    """Every recorded stage, by name."""
    fixture, network = load(variant)
    seen, hooks = {}, []

    def record(name, module, pick=lambda inputs, output: output):
        calls = seen.setdefault(name, [])
        hooks.append(
            module.register_forward_hook(
                lambda _module, inputs, output: calls.append(pick(inputs, output))
            )
        )

    vit = network.encoder.encoder["base_model"]["model"]
    features, first = network.encoder.fmap_upsample, network.prop_decoder
    record("image", network.encoder, lambda inputs, _: inputs[0])
    record("vit_input", vit, lambda inputs, _: inputs[0])
    record("patch_embed", vit.patch_embed, lambda _, output: output.flatten(2).transpose(1, 2))
    record("tokens", vit.blocks[0], lambda inputs, _: inputs[0])
    record("qkv0", vit.blocks[0].attn.qkv)
    for index, block in enumerate(vit.blocks):
        record(f"block{index}", block)
    record("levels", network.encoder.fmap_proj)
    for level in (1, 2, 3):
        record(f"fmap_refine{level}", features.refine[level])
    record("features", features)
    record("hidden", network.encoder.hidden_upsample)
    record("prop_proj", network.prop_proj)
    record("prop_init", first.init)
    record("prop_patch", first.patch_embed)
    record("prop_block0", first.blks[0])
    record("prop_block_last", first.blks[-1])
    record("prop_vit", first.upsample)
    record("prop_res", first.res_convs)
    record("prop_hidden", first)
    record("prop_bins", network.prop_bins_head)
    record("prop_mask", network.prop_mask_head)
    record("delta_inputs", network.delta_proj, lambda inputs, _: inputs[0])
    record("step_in", network.delta_proj)
    record("net", network.delta_decoder)
    record("delta", network.delta_disp_head)
    record("info", network.delta_dist_head)
    record("mask", network.delta_mask_head)
    info = fixture.info
    views = images(info["image_seed"], (info["height"], info["width"]))
    outputs = list(network.predictions(*views))
    for hook in hooks:
        hook.remove()

    steps = {"step_in", "net", "delta", "info", "mask"}
    result = {name: calls[0] for name, calls in seen.items() if name not in steps}
    for name in steps:
        for index, value in enumerate(seen[name], 1):
            result[f"{name}{index}"] = value
    for level, value in enumerate(result["levels"]):
        result[f"fmap_proj{level}"] = value
    result["fmap1"], result["fmap2"] = result["features"].split(1)
    channels = result["fmap1"].shape[1]
    for index, inputs in enumerate(seen["delta_inputs"]):
        result[f"disp_half{index}"] = inputs[:, -1:]
        result[f"warped{index + 1}"] = inputs[:, channels : 2 * channels]
    for index, output in enumerate(outputs[1:], 1):
        result[f"disp_step{index}"] = output.disparity
    crop = MeanPadding(info["height"], info["width"], 16).crop
    result["init"] = crop(convex_upsample(result["prop_bins"], 0.25 * result["prop_mask"]))
    result["info_up"] = crop(convex_upsample(seen["info"][-1], 0.25 * seen["mask"][-1]))
    result["confidence"] = narrow_share(result["info_up"])
    result["disparity"] = outputs[-1].disparity
    return result


@pytest.mark.parametrize("variant", SMALL + LARGE)
def test_keys_and_shapes_are_the_published_ones_that_matter(variant):
    with torch.device("meta"):
        network = create_recorded("waft_stereo", variant)

    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    shapes = Fixture("waft_stereo", variant).shapes
    assert own == {key: shapes[key] for key in own}
    left_out = {key for key in shapes if key not in own}
    assert {key for key in left_out if not key.endswith("mask_token")} == {
        f"{pyramid}.refine.3.resConfUnit1.conv.{index}.{kind}"
        for pyramid in (
            "encoder.fmap_upsample",
            "encoder.hidden_upsample",
            "prop_decoder.upsample",
            "delta_decoder.upsample",
        )
        for index in (2, 5)
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize(("variant", "stage"), STAGES)
def test_stage_is_the_published_one(variant, stage):
    fixture, _ = load(variant)
    about, golden = fixture.info["arrays"][stage], fixture.arrays[stage]

    got = stages(variant)[stage]

    assert list(got.shape) == about["source_shape"]
    got = got.numpy()[eval(f"np.s_{about['index']}")]
    assert np.abs(got - golden).max() <= about["atol"]


@torch.inference_mode()
def test_any_size_gives_maps_of_that_size():
    _, network = load("dav2_vits")

    disparity, confidence = network(*images(size=(67, 101)))

    assert disparity.shape == confidence.shape == (1, 1, 67, 101)
    assert disparity.dtype == confidence.dtype == torch.float32


@torch.inference_mode()
def test_confidence_is_that_of_the_mixture_at_full_size():
    _, network = load("dav2_vits")

    channels = stages("dav2_vits")["info_up"]
    confidence = network(*images()).confidence

    torch.testing.assert_close(confidence, rate_error(channels[:, :3]), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_a_batch_is_its_pairs_one_by_one():
    _, network = load("dav2_vits")
    first, second = images(seed=0), images(seed=1)

    both = network(*(torch.cat(views) for views in zip(first, second, strict=True)))

    for index, pair in enumerate((first, second)):
        alone = network(*pair)
        torch.testing.assert_close(both.disparity[index], alone.disparity[0], atol=1e-3, rtol=0)
        torch.testing.assert_close(both.confidence[index], alone.confidence[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_without_corrections_the_first_match_is_the_output():
    _, network = load("dav2_vits")
    whole = next(iter(network.predictions(*images())))
    network.iterations, iterations = 0, network.iterations

    alone = network(*images())
    network.iterations = iterations

    for map_, expected in zip(alone, whole, strict=True):
        assert torch.equal(map_, expected)
    assert alone.confidence.min() > 0
    assert alone.confidence.max() <= 1


def test_losses_on_the_outputs_of_all_steps_reach_every_weight():
    network = create_network("waft_stereo", iterations=1)
    predictions = network.predictions(*images(size=(32, 64)))

    sum(map_.mean() for output in predictions for map_ in output).backward()

    assert not [key for key, weight in network.named_parameters() if weight.grad is None]


@torch.inference_mode()
def test_autocast_leaves_disparity_and_warped_features_in_float32():
    _, network = load("dav2_vits")
    read = []
    hook = network.delta_proj.register_forward_hook(lambda _, inputs, output: read.extend(inputs))

    with torch.autocast("cpu", torch.bfloat16):
        output = network(*images())
    hook.remove()

    assert {value.dtype for value in (*read, *output)} == {torch.float32}
    assert output.disparity.isfinite().all()


@pytest.mark.parametrize("batch", [1, 2])
def test_warp_is_the_sampling_that_takes_corners_for_centres_and_edges(batch):
    torch.manual_seed(0)
    features = torch.randn(batch, 5, 9, 12)
    disparity = 16 * torch.rand(batch, 1, 9, 12) - 2  # partly out of the view on either side
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
    across = 2 * (columns - disparity[:, 0]) / 11 - 1  # corners are centres: -1 to 1 between them
    down = (2 * rows / 8 - 1).expand_as(across)

    warped = Warp(features)(disparity)

    grid = torch.stack([across, down], -1)
    expected = F.grid_sample(features, grid, align_corners=False)  # and edges are edges here
    torch.testing.assert_close(warped, expected, atol=1e-5, rtol=0)


def test_disparity_that_is_no_number_reads_nothing_beyond_the_view():
    disparity = torch.full((1, 1, 4, 6), torch.nan)

    assert Warp(torch.ones(1, 2, 4, 6))(disparity).isnan().all()


def test_confidence_is_the_probability_of_an_error_below_4_px():
    channels = torch.tensor([[0.3, -1.2, 2.0], [4.0, 1.0, -3.0], [-2.0, 0.5, 14.0]])
    scales = torch.tensor([np.exp(2.0), 1, np.exp(10.0)])
    wide = torch.softmax(channels[:, :2], 1)[:, 0]

    probability = rate_error(channels[:, :, None, None])

    inside = [
        torch.distributions.Laplace(0.0, scale).cdf(torch.tensor(4.0)) * 2 - 1
        for scale in (*scales, torch.tensor(1.0))
    ]
    expected = wide * torch.stack(inside[:3]) + (1 - wide) * inside[3]
    torch.testing.assert_close(probability[:, 0, 0, 0], expected.float())


@torch.inference_mode()
def test_transformer_on_its_own_grid_takes_its_positions_as_they_are():
    vit = DinoV2(ViTSize(64, 0, 1, ()))
    torch.nn.init.normal_(vit.pos_embed)
    torch.nn.init.zeros_(vit.patch_embed.proj.bias)

    tokens = vit.embed(torch.zeros(1, 3, 37 * 14, 37 * 14))
    resampled = vit.embed(torch.zeros(1, 3, 37 * 14, 38 * 14))

    assert torch.equal(tokens, vit.pos_embed)
    assert resampled.shape == (1, 1 + 37 * 38, 64)


def test_padding_is_0_once_it_is_normalised():
    image = 255 * torch.rand(1, 3, 5, 7)

    padded = MeanPadding(5, 7, 8).pad(image)

    assert padded.shape == (1, 3, 8, 8)
    torch.testing.assert_close(padded[..., 1:6, 0:7], image, atol=1e-4, rtol=0)
    border = padded[0, :, 0, 0] / 255
    torch.testing.assert_close(border, torch.tensor([0.485, 0.456, 0.406]))


@pytest.mark.parametrize("variant", waft_stereo.VARIANTS)
def test_checkpoints_of_the_authors_and_ours_name_their_variant(variant):
    with torch.device("meta"):
        state = create_network("waft_stereo", variant).state_dict()

    own = {key: tuple(value.shape) for key, value in state.items()}
    for shapes in (Fixture("waft_stereo", variant).shapes, own):
        assert waft_stereo.recognise(shapes) == {"variant": variant}


@pytest.mark.parametrize(
    ("network", "variant"), [("foundation_stereo", "vits"), ("smoe_stereo", "damv2_vits")]
)
def test_another_networks_checkpoint_is_not_recognised(network, variant):
    assert waft_stereo.recognise(Fixture(network, variant).shapes) is None


def test_terms_are_those_of_the_backbone_in_it():
    with torch.device("meta"):
        licences = [create_network("waft_stereo", v).licence for v in waft_stereo.VARIANTS]

    assert ["NC" in licence for licence in licences] == [False, True, True]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"variant": "dav2_vitg"}, "dav2_vitg"),
        ({"iterations": -1}, "iterations is -1"),
        ({"max_disparity": 0}, "max_disparity is 0"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        create_network("waft_stereo", **arguments)
