"""Fast-FoundationStereo against what the published implementation returned."""

from __future__ import annotations

import json
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np
import pytest
import torch
from generator import fill, stereo_pair
from parity import Fixture, as_tensor

from stereo_depth_ros.networks import create_network
from stereo_depth_ros.networks import fast_foundation_stereo as ffs
from stereo_depth_ros.networks.fast_foundation_stereo.reading import from_shapes
from stereo_depth_ros.networks.fast_foundation_stereo.structure import (
    RELEASED,
    Structure,
)

NAME = "fast_foundation_stereo"
RECORDED = (
    "released_vitl_d192",
    "unpruned_vits_d192",
    "unpruned_vits_d64_nonorm",
    "nas_alt_vitb_d64_nonorm",
)


@lru_cache
def recorded(variant):
    return Fixture(NAME, variant)


STAGES = tuple(recorded("released_vitl_d192").arrays)


def pickled_attributes(info):
    """What the modules of a file with this fixture's architecture have for attributes."""
    attributes = {"": {"normalize": info["config"]["normalize"]}}

    def describe(path, layer):
        if layer["type"] == "basic":
            attributes[path] = {"relu": layer["act"] is not None}
            attributes[f"{path}.conv"] = {
                "stride": tuple(layer["stride"]),
                "transposed": layer["transposed"],
            }
        elif layer["type"] == "conv":
            attributes[path] = {"stride": tuple(layer["stride"]), "groups": layer["groups"]}
        elif layer["type"] == "transformer":
            attributes[f"{path}.sa.0.self_attn"] = {"num_heads": layer["heads"]}
        elif layer["type"] == "upsample":
            attributes[path] = {"scale_factor": layer["scale"]}
        elif layer["type"] == "post_forward_helper":
            attributes[path] = {"op": layer["op"]}
        names = {"forward_helper": ["layers"], "post_forward_helper": ["upsample", "out"]}
        for name in names.get(layer["type"], ["layers"]):
            inner = path if layer["type"] == "sequential" else f"{path}.{name}"
            for i, part in enumerate(layer.get(name, ()) if layer["type"] != "transformer" else ()):
                describe(f"{inner}.{i}", part)

    for slot, layer in info["architecture"].items():
        if isinstance(layer, dict) and "type" in layer:
            describe(slot, layer)
    return attributes


@lru_cache
def network(variant):
    fixture = recorded(variant)
    net = create_network(
        NAME,
        ffs.recognise(fixture.shapes)["variant"],
        structure=from_shapes(fixture.shapes, pickled_attributes(fixture.info)),
        max_disparity=fixture.info["config"]["max_disp"],
        iterations=fixture.info["iters"],
    )
    scale = np.float32(fixture.info["weights"]["weight_scale"])
    values = fill({key: tuple(value.shape) for key, value in net.state_dict().items()})
    net.load_state_dict(
        {
            key: torch.from_numpy(value * scale if value.ndim > 1 else value)
            for key, value in values.items()
        }
    )
    return net.eval()


@lru_cache
def stages(variant):
    """Every recorded stage of one run, by its name."""
    net = network(variant)
    seen = {}
    handles = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.setdefault(name, []).append((inputs, output))
        )
        for name, module in net.named_modules()
    ]
    with torch.inference_mode():
        disparity = net(*map(as_tensor, stereo_pair(96, 160))).disparity
    for handle in handles:
        handle.remove()
    maps = seen["feature"][0][1]
    volume = seen["corr_stem"][0][0][0]
    steps = seen["update_block"]
    return {
        "left_04": maps[0][:1],
        "right_04": maps[0][1:],
        "left_08": maps[1][:1],
        "left_16": maps[2][:1],
        "left_32": maps[3][:1],
        "stem_2x": seen["stem_2"][0][1],
        "gwc": volume[:, :8],
        "concat": volume[:, 8:],
        "volume_in": seen["corr_feature_att"][0][1],
        "volume_out": seen["cost_agg"][0][1],
        "logits": seen["classifier"][0][1],
        "init_disp": steps[0][0][3],
        "cnet_hidden": seen["cnet"][0][1][0],
        "cnet_input": seen["cnet"][0][1][1],
        "cam_gate": seen["cam"][0][1],
        "attention": seen["sam"][0][1],
        "lookup_0": steps[0][0][4],
        "mask_feat": 0.25 * seen["update_block.mask"][0][1],
        "hidden_last": steps[-1][1][0],
        "disp_iters": torch.cat([inputs[3] + output[1] for inputs, output in steps]),
        "disp": disparity,
    }


@pytest.mark.parametrize("variant", RECORDED)
def test_its_entries_are_those_of_the_published_state_dict(variant):
    published = recorded(variant).shapes
    own = {key: tuple(value.shape) for key, value in network(variant).state_dict().items()}
    assert own == {key: published[key] for key in own}
    left_over = published.keys() - own.keys()
    assert all(any(fnmatchcase(key, pattern) for pattern in ffs.UNUSED) for key in left_over)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("variant", RECORDED)
def test_each_stage_is_what_the_published_implementation_returns(variant, stage):
    fixture = recorded(variant)
    found, about = stages(variant)[stage], fixture.info["arrays"][stage]
    assert list(found.shape) == about["full_shape"]
    stored = found.numpy()[tuple(slice(None, None, step) for step in about["step"] or ())]
    tolerance = fixture.info["tolerance"]
    np.testing.assert_allclose(
        stored, fixture.arrays[stage], rtol=tolerance["rtol"], atol=tolerance["atol"]
    )


def test_shapes_alone_give_the_structure_of_the_released_checkpoint():
    assert from_shapes(recorded("released_vitl_d192").shapes) == RELEASED


@pytest.mark.parametrize("variant", RECORDED)
def test_a_structure_is_plain_json(variant):
    fixture = recorded(variant)
    structure = from_shapes(fixture.shapes, pickled_attributes(fixture.info))
    record = json.loads(json.dumps(asdict(structure)))
    with torch.device("meta"):
        again = create_network(NAME, "pruned", structure=record)
    assert again.state_dict().keys() == network(variant).state_dict().keys()
    assert repr(again.cost_agg) == repr(network(variant).cost_agg)


def test_attributes_of_a_pickled_module_decide_what_shapes_do_not_tell():
    fixture = recorded("nas_alt_vitb_d64_nonorm")
    guessed = from_shapes(fixture.shapes)
    known = from_shapes(fixture.shapes, pickled_attributes(fixture.info))
    slot = "cost_agg.feature_att_8"
    assert (guessed.normalise, known.normalise) == (True, False)
    assert [s.blocks[slot][0]["activation"] for s in (guessed, known)] == [True, False]
    slot = "cost_agg.post8_to_4"
    assert [s.blocks[slot]["upsample"][1]["heads"] for s in (guessed, known)] == [4, 2]


def test_a_join_of_equal_widths_may_still_be_told_to_concatenate():
    shapes = recorded("released_vitl_d192").shapes
    slot = "cost_agg.post16_to_8"
    assert from_shapes(shapes).blocks[slot]["join"] == "sum"
    assert from_shapes(shapes, {slot: {"op": "concat"}}).blocks[slot]["join"] == "concat"


def test_an_activation_may_be_a_module_of_its_own():
    shapes = recorded("released_vitl_d192").shapes
    path = "corr_feature_att.layers.0"
    given = {f"{path}.relu": {"class": "Identity"}}
    assert not from_shapes(shapes, given).blocks["corr_feature_att"][0]["activation"]


@pytest.mark.parametrize("variant", RECORDED)
def test_a_checkpoint_is_recognised_by_its_shapes(variant):
    found = ffs.recognise(recorded(variant).shapes)
    assert found["variant"] == ("unpruned" if variant.startswith("unpruned") else "pruned")
    with torch.device("meta"):
        made = create_network(NAME, **found).state_dict()
    assert made.keys() == network(variant).state_dict().keys()


@pytest.mark.parametrize(
    ("other", "variant"), [("foundation_stereo", "vits"), ("lite_any_stereo", "las1")]
)
def test_another_networks_checkpoint_is_not_recognised(other, variant):
    assert ffs.recognise(Fixture(other, variant).shapes) is None


def test_layers_that_shapes_do_not_tell_are_not_guessed():
    shapes = dict(recorded("released_vitl_d192").shapes)
    slot = "cost_agg.post16_to_8.out"
    hidden = {k: s for k, s in shapes.items() if not k.startswith(f"{slot}.1.")}
    with pytest.raises(ValueError, match=slot):
        from_shapes(hidden)
    assert ffs.recognise(hidden) == {"variant": "pruned"}
    known = from_shapes(hidden, {f"{slot}.1": {"class": "Identity"}})
    assert known.blocks["cost_agg.post16_to_8"]["out"][1] == {"kind": "sequence", "layers": []}
    with pytest.raises(ValueError, match="no known kind"):
        from_shapes({**shapes, f"{slot}.3.strange": (1,)})


@pytest.mark.parametrize(("height", "width"), [(75, 131), (64, 96)])
def test_images_of_any_size_are_matched(height, width):
    net = network("released_vitl_d192")
    with torch.inference_mode():
        disparity, confidence = net(*map(as_tensor, stereo_pair(height, width)))
    for found in (disparity, confidence):
        assert found.shape == (1, 1, height, width)
        assert found.dtype == torch.float32
        assert found.isfinite().all()
    assert 0 <= confidence.min() < confidence.max() <= 1


@pytest.mark.parametrize("variant", ["released_vitl_d192", "nas_alt_vitb_d64_nonorm"])
def test_pairs_of_a_batch_do_not_see_each_other(variant):
    net = network(variant)
    pairs = [tuple(map(as_tensor, stereo_pair(64, 96, seed))) for seed in (0, 1)]
    with torch.inference_mode():
        both = net(*(torch.cat(views) for views in zip(*pairs, strict=True)))
        each = [net(*pair) for pair in pairs]
    for name in ("disparity", "confidence"):
        singly = torch.cat([getattr(output, name) for output in each])
        torch.testing.assert_close(getattr(both, name), singly, rtol=1e-5, atol=1e-3)


def test_parts_that_blocks_replace_are_dropped():
    names = {name for name, _ in network("released_vitl_d192").named_modules()}
    assert not any(fnmatchcase(f"{name}.x", p) for name in names for p in ffs.UNUSED)
    assert "cost_agg.agg_1" in {n for n, _ in network("nas_alt_vitb_d64_nonorm").named_modules()}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"max_disparity": 100}, "multiple of 32"),
        ({"iterations": 0}, "1 or more"),
        ({"structure": Structure(blocks={"classifier": [{"kind": "dense"}]})}, "dense"),
        (
            {
                "structure": {
                    "blocks": {"cost_agg.post16_to_8": {"join": "mean", "upsample": [], "out": []}}
                }
            },
            "mean",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        create_network(NAME, **wrong)
