from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np
import pytest
import torch
from generator import fill, stereo_pair
from parity import Fixture, as_tensor, create_recorded

from stereo_depth_ros.networks import create_network, smoe_stereo
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES
from stereo_depth_ros.networks.smoe_stereo.backbone import MixtureViT

FIXTURES = ["damv2_vits", "damv2_vits_noselect", "damv2_vitb"]
# What the published implementation computes after the last feature map that it reads.
UNREAD = {"block11", "dpt4"}
# Recorded as one array for all twelve blocks, of which the last three are not here.
EVERY_BLOCK = {
    f"{kind}_{what}" for kind in ("lora", "adapter") for what in ("experts", "gate_logits", "gates")
}
STAGES = [
    (variant, stage)
    for variant in FIXTURES
    for stage in Fixture("smoe_stereo", variant).arrays
    if stage not in UNREAD
]


@lru_cache(maxsize=1)
def load(variant):
    """The fixture and its network with its weights, in evaluation."""
    fixture = Fixture("smoe_stereo", variant)
    network = create_recorded("smoe_stereo", variant, iterations=fixture.info["iters"]).eval()
    network.load_state_dict(weights(fixture, network.state_dict()))
    return fixture, network


def needed(fixture, expected):
    """The fixture's keys and shapes without those that an import drops."""
    return {
        key: shape
        for key, shape in fixture.shapes.items()
        if key in expected or not any(fnmatchcase(key, p) for p in smoe_stereo.UNUSED)
    }


def weights(fixture, expected):
    first_names = {key: fixture.info["aliases"].get(key, key) for key in needed(fixture, expected)}
    shapes = {name: fixture.shapes[name] for name in first_names.values()}
    values = fill(shapes, fixture.info["seed"])
    return {key: torch.from_numpy(values[name]) for key, name in first_names.items()}


def images(seed=0, size=(96, 160)):
    return [as_tensor(view) for view in stereo_pair(*size, seed)]


def watch(module, seen, pick=lambda _module, _inputs, output: output):
    """Append what ``pick`` makes of each call of ``module`` to ``seen``."""
    return module.register_forward_hook(lambda *call: seen.append(pick(*call)))


@lru_cache(maxsize=1)
@torch.inference_mode()
def stages(variant):
    """Every recorded stage, by name; lists where it is one of every block."""
    _, network = load(variant)
    backbone = network.backbone["model"]["vfm_model"]
    update = network.update_block
    seen, hooks = {stage: [] for stage in EVERY_BLOCK}, []

    def record(name, module, *pick):
        hooks.append(watch(module, seen.setdefault(name, []), *pick))

    record("vit_input", backbone.pretrained, lambda _, inputs, output: inputs[0])
    for index, block in enumerate(backbone.pretrained.blocks):
        record(f"block{index}", block)
        record(f"qkv{index}", block.attn.qkv)
        record(f"mlp{index}", block.mlp)
        for kind, mixture in (("lora", block.attn.qkv), ("adapter", block.mlp)):
            record(f"{kind}_experts", mixture, lambda layer, inputs, _: layer.route(inputs[0]))
            record(f"{kind}_moe{index}", mixture, lambda layer, inputs, _: layer.mixture(*inputs))
            if mixture.lora_layer_select is not None:
                record(f"{kind}_gates", mixture.lora_layer_select)
                record(f"{kind}_gate_logits", mixture.lora_layer_select.mlp_head)
    record("dpt", backbone.depth_head)
    record("cnet", network.cnet)
    record("fmap", network.fnet)
    record("corr", update.encoder, lambda _, inputs, output: inputs[1])
    record("net0", update.gru08)
    record("net2", update.gru32)
    record("step", update, lambda *call: call[2][1])
    record("mask", update, lambda layer, _, output: layer.upsampling_mask(output[0][0]))
    refined = [output.disparity for output in network.predictions(*images())]
    for hook in hooks:
        hook.remove()

    result = {name: calls if name in EVERY_BLOCK else calls[-1] for name, calls in seen.items()}
    for level, features in enumerate(result["dpt"], 1):
        result[f"dpt{level}"] = features
    for level, (hidden, context) in enumerate(result["cnet"]):
        result[f"cnet_hidden{level}"], result[f"cnet_context{level}"] = hidden, context
    result["fmap1"], result["fmap2"] = result["fmap"].split(1)
    result["corr1"], result["corr4"] = seen["corr"][0], seen["corr"][3]
    result["disp_low"] = torch.cat(seen["step"]).squeeze(1).cumsum(0)
    result["disparity"] = refined[-1]
    result["disp_up"] = torch.cat(refined[:3])
    return result


def chosen(got, about):
    """The recorded part of a stage."""
    index = eval(f"np.s_{about['index']}")
    return got.numpy()[index]


def assert_close(got, golden, about):
    assert got.shape == golden.shape
    excess = np.abs(got - golden) - about["rtol"] * np.abs(golden)
    assert excess.max() <= about["atol"]


@pytest.mark.parametrize("variant", FIXTURES)
def test_keys_and_shapes_are_the_published_ones_that_are_read(variant):
    with torch.device("meta"):
        state = create_recorded("smoe_stereo", variant).state_dict()

    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == needed(Fixture("smoe_stereo", variant), shapes)


@pytest.mark.parametrize(("variant", "stage"), STAGES)
def test_stage_is_the_published_one(variant, stage):
    fixture, _ = load(variant)
    about, golden = fixture.info["arrays"][stage], fixture.arrays[stage]
    got = stages(variant)[stage]

    if stage in EVERY_BLOCK:
        assert len(got) == 9
        for block, expected in zip(got, golden, strict=False):
            # Past the first tap, only the left view is encoded.
            expected = expected[: len(block)]
            assert_close(block.numpy().reshape(expected.shape), expected, about)
    else:
        got = chosen(got, about)
        left_only = about["source_shape"][0] == 2 and len(got) == 1
        assert_close(got, golden[:1] if left_only else golden, about)


@torch.inference_mode()
def test_any_size_gives_maps_of_that_size():
    _, network = load("damv2_vits")

    disparity, confidence = network(*images(size=(67, 101)))

    assert disparity.shape == confidence.shape == (1, 1, 67, 101)
    assert disparity.dtype == confidence.dtype == torch.float32


@torch.inference_mode()
def test_confidence_is_within_0_and_1_and_varies():
    _, network = load("damv2_vits")

    confidence = network(*images()).confidence

    assert confidence.min() >= 0
    assert confidence.max() <= 1
    assert confidence.std() > 0.01


@torch.inference_mode()
def test_a_batch_is_its_pairs_one_by_one():
    _, network = load("damv2_vits")
    first, second = images(seed=0), images(seed=1)

    both = network(*(torch.cat(views) for views in zip(first, second, strict=True)))

    for index, pair in enumerate((first, second)):
        alone = network(*pair)
        torch.testing.assert_close(both.disparity[index], alone.disparity[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(both.confidence[index], alone.confidence[0], atol=1e-4, rtol=0)


@torch.inference_mode()
def test_autocast_leaves_correlation_and_disparity_in_float32():
    _, network = load("damv2_vits")
    read = []
    hook = watch(network.update_block, read, lambda _, inputs, output: (*inputs[2:], output[1]))

    with torch.autocast("cpu", torch.bfloat16):
        output = network(*images())
    hook.remove()

    assert {value.dtype for call in read for value in call} == {torch.float32}
    assert {value.dtype for value in output} == {torch.float32}
    assert output.disparity.isfinite().all()


@pytest.mark.parametrize("variant", FIXTURES)
def test_published_checkpoint_is_recognised(variant):
    arguments = smoe_stereo.recognise(Fixture("smoe_stereo", variant).shapes)

    assert arguments == {
        "variant": variant.removesuffix("_noselect"),
        "selective": not variant.endswith("_noselect"),
    }


@pytest.mark.parametrize("variant", smoe_stereo.VARIANTS)
@pytest.mark.parametrize("selective", [True, False])
def test_own_state_dict_is_recognised(variant, selective):
    with torch.device("meta"):
        state = create_network("smoe_stereo", variant, selective=selective).state_dict()

    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert smoe_stereo.recognise(shapes) == {"variant": variant, "selective": selective}


@pytest.mark.parametrize(("network", "variant"), [("foundation_stereo", "vits"), ("s2m2", "s")])
def test_another_networks_checkpoint_is_not_recognised(network, variant):
    assert smoe_stereo.recognise(Fixture(network, variant).shapes) is None


def test_large_variant_stops_after_its_third_tap_and_adapts_twelve_blocks():
    with torch.device("meta"):
        state = create_network("smoe_stereo", "damv2_vitl").state_dict()

    block = "backbone.model.vfm_model.pretrained.blocks.{}.attn.qkv.{}weight"
    assert state[block.format(11, "base_layer.")].shape == (3072, 1024)
    assert state[block.format(12, "")].shape == state[block.format(17, "")].shape == (3072, 1024)
    assert block.format(18, "") not in state


@torch.inference_mode()
def test_transformer_as_deep_as_the_large_one_maps_the_left_views_at_all_taps():
    size = VIT_SIZES["vitl"]._replace(width=64, heads=1)

    maps = MixtureViT(size, selective=True)(torch.rand(4, 3, 28, 56))

    assert [features.shape for features in maps] == [(4, 64, 2, 4), (2, 64, 2, 4), (2, 64, 2, 4)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"variant": "damv2_vitg"}, "damv2_vitg"), ({"iterations": 0}, "iterations is 0")],
)
def test_what_cannot_be_built_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        create_network("smoe_stereo", **arguments)
