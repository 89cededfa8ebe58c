from fnmatch import fnmatch

import numpy as np
import pytest
import torch
from generator import fill, stereo_pair
from parity import Fixture, as_tensor, create_recorded
from torch.nn import functional as F

from stereo_depth_ros.networks import create_network, foundation_stereo
from stereo_depth_ros.networks.foundation_stereo.features import vit_size

FIXTURES = [
    "vits",
    "vits_dispattn",
    "vits_md416",
    pytest.param("vitl", marks=pytest.mark.slow),
]


def published(shapes):
    """What of a checkpoint the network takes."""
    unused = foundation_stereo.UNUSED
    return {key: x for key, x in shapes.items() if not any(fnmatch(key, u) for u in unused)}


def build(fixture, **config):
    """The fixture's network with its weights, in evaluation."""
    recorded = fixture.info["config"]
    network = create_recorded(
        "foundation_stereo",
        fixture.info["variant"],
        max_disparity=recorded["max_disp"],
        iterations=fixture.info["iters"],
        attention_axis=recorded["disparity_attention_axis"],
        **config,
    )
    weights = fill(fixture.shapes, fixture.info["seed"])
    for alias, name in fixture.info["aliases"].items():
        weights[alias] = weights[name]
    network.load_state_dict({key: torch.from_numpy(x) for key, x in weights.items()})
    return network.eval()


@pytest.fixture(scope="module")
def small():
    """The default variant, cheap to run: two steps, 64 px."""
    recording = Fixture("foundation_stereo", "vits")
    recording.info = {
        **recording.info,
        "iters": 2,
        "config": {**recording.info["config"], "max_disp": 64},
    }
    return build(recording)


def images(height=96, width=160, seed=0):
    return [as_tensor(view) for view in stereo_pair(height, width, seed)]


@torch.inference_mode()
def stages(network, left, right):
    """Every recorded stage, by name."""
    calls = {}  # of each submodule, (inputs, output) of every call
    for name, module in network.named_modules():
        module.register_forward_hook(
            lambda _module, inputs, output, name=name: calls.setdefault(name, []).append(
                (inputs, output)
            )
        )
    _, *refined = (output.disparity for output in network.predictions(left, right))

    def given(name, argument=0, call=0):
        return calls[name][call][0][argument]

    def returned(name, call=0):
        return calls[name][call][1]

    dino = "feature.dino.depth_anything"
    result = {
        "vit_input": given(f"{dino}.pretrained"),
        "dpt_path4": returned(f"{dino}.depth_head.scratch.refinenet4"),
        "dpt_path1": returned(f"{dino}.depth_head.scratch.refinenet1"),
        "vit_feat": returned(dino),
        "stem_2x": returned("stem_2"),
        "comb_volume": given("corr_stem"),
        "corr_stem": returned("corr_stem"),
        "corr_att": returned("corr_feature_att"),
        "agg_conv1": returned("cost_agg.conv1"),
        "agg_conv3": returned("cost_agg.conv3"),
        "agg_patch": returned("cost_agg.conv_patch"),
        "agg_att": returned("cost_agg.atts.4"),
        "cost_agg": returned("cost_agg"),
        "logits": returned("classifier"),
        "geo_feat0": given("update_block.encoder", 1),
        "init_disp": given("update_block.encoder", 0),
        "mask_feat": given("spx_2_gru", call=-1),
        "spx": returned("spx_gru", -1),
        "disparity": refined[-1],
        "disp_up": torch.cat(refined),
    }
    result["dpt_out"] = F.interpolate(
        returned(f"{dino}.depth_head"),
        result["vit_input"].shape[-2:],
        mode="bilinear",
        align_corners=True,
    )
    for tap, tokens in enumerate(returned(f"{dino}.pretrained")):
        result[f"vit_tokens{tap}"] = tokens.flatten(2).transpose(1, 2)
    for stage in range(4):
        result[f"edgenext{stage}"] = returned(f"feature.stages.{stage}")
    for level, feature in enumerate(returned("feature")[0]):
        result[f"feat{level}"] = feature
    for level, (hidden, context) in enumerate(returned("cnet")):
        result[f"cnet_hidden{level}"] = hidden
        result[f"cnet_context{level}"] = context
        result[f"cam{level}"] = returned("cam", level)
        result[f"sam{level}"] = returned("sam", level)

    last = network.iterations - 1
    correlations = [*range(252, 261), *range(513, 522)]
    for step in (0, last):
        result[f"geo_corr{step}"] = given("update_block.encoder", 1, step)[:, correlations]
    hidden, _ = returned("update_block", last)
    result["net0"], _, result["net2"] = hidden
    steps = [given("update_block.encoder", 0, step) for step in range(1, network.iterations)]
    _, delta = returned("update_block", last)
    steps.append(steps[-1] + delta)
    result["disp_low"] = torch.cat(steps)
    return result


def assert_recorded(fixture, name, got):
    about, golden = fixture.info["arrays"][name], fixture.arrays[name]
    assert list(got.shape) == about["source_shape"], name
    index = about["index"]
    got = got.numpy() if index == "[...]" else eval(f"got{index}", {"got": got.numpy()})
    excess = np.abs(got - golden) / (about["atol"] + about["rtol"] * np.abs(golden))
    assert excess.max() <= 1, name


@pytest.mark.parametrize("variant", FIXTURES)
def test_keys_and_shapes_are_the_published_ones(variant):
    fixture = Fixture("foundation_stereo", variant)
    with torch.device("meta"):
        state = create_recorded("foundation_stereo", fixture.info["variant"]).state_dict()

    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == published(fixture.shapes)


@pytest.mark.parametrize("variant", FIXTURES)
def test_every_stage_is_the_published_one(variant):
    fixture = Fixture("foundation_stereo", variant)

    got = stages(build(fixture), *images())

    for name in fixture.arrays.keys() - {"hierarchical"}:
        assert_recorded(fixture, name, got[name])


def test_two_passes_give_the_published_disparity():
    fixture = Fixture("foundation_stereo", "vits")
    network = build(fixture, hierarchical=True)

    with torch.inference_mode():
        disparity, _ = network(*images(90, 150))

    assert_recorded(fixture, "hierarchical", disparity)


def test_maps_have_the_size_of_any_image(small):
    with torch.inference_mode():
        disparity, confidence = small(*images(75, 101))

    assert disparity.shape == confidence.shape == (1, 1, 75, 101)
    assert disparity.dtype == confidence.dtype == torch.float32
    assert disparity.isfinite().all()


def test_confidence_is_between_0_and_1_and_varies(small):
    with torch.inference_mode():
        _, confidence = small(*images(64, 96))

    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.max() - confidence.min() > 0.01


def test_pairs_of_a_batch_do_not_touch_each_other(small):
    pairs = [images(64, 96, seed) for seed in (0, 1)]

    with torch.inference_mode():
        together = small(*(torch.cat(views) for views in zip(*pairs, strict=True)))
        alone = [small(*pair) for pair in pairs]

    for both, *each in zip(together, *alone, strict=True):
        torch.testing.assert_close(both, torch.cat(each), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", foundation_stereo.VARIANTS)
def test_a_checkpoint_names_its_variant(variant):
    fixture = Fixture("foundation_stereo", variant)

    assert foundation_stereo.recognise(fixture.shapes) == {"variant": variant}


@pytest.mark.parametrize(
    ("network", "variant"),
    [
        ("fast_foundation_stereo", "unpruned_vits_d192"),
        ("lite_any_stereo", "las2_h"),
        ("s2m2", "s"),
        ("smoe_stereo", "damv2_vits"),
    ],
)
def test_other_checkpoints_are_not_recognised(network, variant):
    assert foundation_stereo.recognise(Fixture(network, variant).shapes) is None


@pytest.mark.parametrize(
    ("image", "seen"),
    [
        ((96, 160), (112, 224)),
        ((1088, 1920), (784, 1344)),
        ((1920, 1088), (1344, 784)),
        ((1344, 1344), (1344, 1344)),
    ],
)
def test_the_transformer_sees_multiples_of_112_up_to_1344(image, seen):
    assert vit_size(*image) == seen


@pytest.mark.parametrize(
    "config",
    [
        {"variant": "vitb"},
        {"max_disparity": 200},
        {"max_disparity": 0},
        {"iterations": 0},
        {"attention_axis": "rows"},
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(config):
    with pytest.raises(ValueError), torch.device("meta"):
        create_network("foundation_stereo", **config)
