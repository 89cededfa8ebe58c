"""Networks by name, what they refuse, and what every one of them takes."""

import json

import numpy as np
import pytest
import torch
from generator import stereo_pair
from parity import DATA, as_tensor

from stereo_depth_ros.checkpoints.detection import blueprint
from stereo_depth_ros.checkpoints.reading import shapes_of
from stereo_depth_ros.networks import NetworkError, create_network, list_networks

# Its structure is a recording's alone, and comes with the file that it is read from.
WITHOUT_NAME = "nas_alt_vitb_d64_nonorm"
RECORDED = sorted(
    (file.parent.name, file.name.removesuffix(".shapes.json"))
    for file in DATA.glob("*/*.shapes.json")
    if WITHOUT_NAME not in file.name
)
SMALLEST = [
    ("lite", "base", {}),
    ("lite", "base", {"max_disparity": 320}),  # matched at a reduced size
    ("fast_foundation_stereo", "pruned", {"iterations": 1, "max_disparity": 32}),
    ("lite_any_stereo", "las1", {}),
    ("lite_any_stereo", "las2_h", {"iterations": 1}),
    ("s2m2", "s", {"iterations": 1}),
    ("foundation_stereo", "vits", {"iterations": 1, "max_disparity": 32}),
    ("smoe_stereo", "damv2_vits", {"iterations": 1}),
]


@pytest.mark.parametrize(("name", "variant"), RECORDED)
def test_recorded_names_build_what_was_recorded(name, variant):
    recorded = json.loads((DATA / name / f"{variant}.shapes.json").read_text())

    network = blueprint(name, {"variant": variant})

    own = shapes_of(network.state_dict())
    assert own == network.own_entries({key: tuple(shape) for key, shape in recorded.items()})


@pytest.mark.parametrize(
    ("name", "variant", "settings"),
    [
        ("s2m2", "s_neg", {"allow_negative": True}),
        ("smoe_stereo", "damv2_vits_noselect", {}),
        ("foundation_stereo", "vits_md416", {"max_disparity": 416}),
        ("fast_foundation_stereo", "unpruned_vits_d64_nonorm", {"max_disparity": 64}),
    ],
)
def test_recorded_names_stand_for_their_settings(name, variant, settings):
    network = blueprint(name, {"variant": variant})

    assert network.variant in list_networks()[name]
    for key, value in settings.items():
        assert getattr(network, key) == value


def test_settings_given_beside_a_recorded_name_count():
    network = blueprint("s2m2", {"variant": "s_neg", "allow_negative": False})

    assert network.allow_negative is False


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("s2m2", {"allow_negative": "False"}, "allow_negative is 'False'; it must be true or"),
        ("s2m2", {"iterations": 2.5}, "iterations is 2.5; it must be a whole number"),
        ("s2m2", {"iterations": True}, "iterations is True; it must be a whole number"),
        ("foundation_stereo", {"hierarchical": "no"}, "hierarchical is 'no'; it must be true or"),
        ("foundation_stereo", {"attention_axis": 1}, "attention_axis is 1; it must be a word"),
        (
            "fast_foundation_stereo",
            {"structure": {"normalise": "False"}},
            "normalise is 'False'; it must be true or false",
        ),
        (
            "fast_foundation_stereo",
            {"structure": {"blocks": {"corr_feat_att": []}}},
            "block 'corr_feat_att' is not one of corr_stem, corr_feature_att",
        ),
        (
            "fast_foundation_stereo",
            {"structure": {"blocks": {"classifier": [{"inputs": 1}]}}},
            "a layer has no kind",
        ),
        ("lite_any_stereo", {"max_disparity": 192}, "las2_m takes no max_disparity"),
        ("lite", {"max_disparity": 8.5}, "max_disparity is 8.5; it must be a whole number"),
        ("lite_any_stereo", {"iterations": "4"}, "iterations is '4'; it must be a whole number"),
    ],
)
def test_wrong_settings_are_named(name, config, message):
    with pytest.raises(NetworkError) as caught:
        create_network(name, **config)

    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "variant", "config"), SMALLEST)
def test_views_of_two_sizes_are_refused(name, variant, config):
    network = create_network(name, variant, **config).eval()
    left, right = torch.zeros(1, 3, 40, 64), torch.zeros(1, 3, 40, 72)

    with pytest.raises(ValueError, match=r"left is .*40, 64.* and right .*40, 72"):
        network(left, right)


@pytest.mark.parametrize(("name", "variant", "config"), SMALLEST)
@torch.inference_mode()
def test_channels_last_changes_nothing(name, variant, config):
    torch.manual_seed(0)
    network = create_network(name, variant, **config).eval()
    left, right = (as_tensor(view) for view in stereo_pair(64, 96, 0))
    plain = network(left, right)

    network = network.to(memory_format=torch.channels_last)

    first = next(
        m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size != (1, 1)
    )
    assert first.weight.is_contiguous(memory_format=torch.channels_last)
    again = network(left.contiguous(memory_format=torch.channels_last), right)
    np.testing.assert_allclose(again.disparity, plain.disparity, atol=1e-3)
    np.testing.assert_allclose(again.confidence, plain.confidence, atol=1e-3)
