"""Networks by name, what they refuse, and what every one of them takes."""

import json
from dataclasses import FrozenInstanceError, asdict

import pytest
import torch
from generator import stereo_pair
from parity import DATA, as_tensor, create_recorded

from stereo_depth_ros.checkpoints.reading import shapes_of
from stereo_depth_ros.networks import NetworkError, create_network, list_networks
from stereo_depth_ros.networks.fast_foundation_stereo.structure import Structure
from stereo_depth_ros.networks.registry import network_module

# Its structure is a recording's alone, and comes with the file that it is read from.
WITHOUT_NAME = "nas_alt_vitb_d64_nonorm"
RECORDED = sorted(
    (file.parent.name, file.name.removesuffix(".shapes.json"))
    for file in DATA.glob("*/*.shapes.json")
    if WITHOUT_NAME not in file.name
)
# Of those with steps, at one iteration.
PREDICTIONS = {
    "fast_foundation_stereo": 2,
    "lite_any_stereo": 2,
    "s2m2": 3,
    "foundation_stereo": 2,
    "smoe_stereo": 1,
    "waft_stereo": 2,
}
SMALLEST = [
    ("lite", "base", {}),
    ("lite", "base", {"max_disparity": 320}),  # matched at a reduced size
    ("fast_foundation_stereo", "pruned", {"iterations": 1, "max_disparity": 32}),
    ("lite_any_stereo", "las1", {}),
    ("lite_any_stereo", "las2_h", {"iterations": 1}),
    ("s2m2", "s", {"iterations": 1}),
    ("foundation_stereo", "vits", {"iterations": 1, "max_disparity": 32}),
    ("smoe_stereo", "damv2_vits", {"iterations": 1}),
    ("waft_stereo", "dav2_vits", {"iterations": 1}),
]
ITERATIVE = [case for case in SMALLEST if "iterations" in case[2]]


@pytest.mark.parametrize(("name", "variant"), RECORDED)
def test_recorded_networks_have_the_recorded_entries(name, variant):
    recorded = json.loads((DATA / name / f"{variant}.shapes.json").read_text())

    with torch.device("meta"):
        network = create_recorded(name, variant)

    own = shapes_of(network.state_dict())
    assert own == network.own_entries({key: tuple(shape) for key, shape in recorded.items()})


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
        (
            "lite_any_stereo",
            {"max_disparity": 192},
            "las2_m: takes no max_disparity, only depths, ratio",
        ),
        ("lite", {"max_disparity": 8.5}, "max_disparity is 8.5; it must be a whole number"),
        ("smoe_stereo", {"iterations": "4"}, "iterations is '4'; it must be a whole number"),
        ("lite_any_stereo", {"iterations": 4}, "las2_m: takes no iterations"),
        ("lite_any_stereo", {"depths": [1, 2]}, "depths is [1, 2]; it must be 3 whole numbers"),
        ("fast_foundation_stereo", {"structure": 3}, "structure is 3; it must be a record"),
        (
            "fast_foundation_stereo",
            {"structure": {"blocks": 3}},
            "structure.blocks is 3; it must be",
        ),
        ("fast_foundation_stereo", {"structure": {"width": 3}}, "takes no structure.width"),
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
def test_the_last_prediction_is_the_output(name, variant, config):
    torch.manual_seed(0)
    network = create_network(name, variant, **config).eval()
    views = [as_tensor(view) for view in stereo_pair(40, 72)]

    predictions = list(network.predictions(*views))

    assert len(predictions) == PREDICTIONS.get(name, 1)
    assert {map_.shape for output in predictions for map_ in output} == {(1, 1, 40, 72)}
    for map_, expected in zip(predictions[-1], network(*views), strict=True):
        assert torch.equal(map_, expected)


@pytest.mark.parametrize(("name", "variant", "config"), ITERATIVE)
@torch.inference_mode()
def test_only_the_last_step_is_brought_to_full_size(name, variant, config):
    network = create_network(name, variant, **{**config, "iterations": 3})
    calls = []
    network.output = lambda *state: calls.append(state) or type(network).output(network, *state)

    network.eval()(*(as_tensor(view) for view in stereo_pair(32, 64)))

    assert len(calls) == 1


@pytest.mark.parametrize(("name", "variant"), [("lite_any_stereo", "las2_h"), ("s2m2", "s")])
def test_losses_on_the_disparities_of_all_steps_reach_every_weight(name, variant):
    network = create_network(name, variant, iterations=1)
    views = [as_tensor(view) for view in stereo_pair(32, 64)]

    sum(output.disparity.mean() for output in network.predictions(*views)).backward()

    assert not [key for key, weight in network.named_parameters() if weight.grad is None]


@pytest.mark.parametrize("name", list_networks())
def test_variants_are_configs_that_cannot_be_changed(name):
    for config in network_module(name).VARIANTS.values():
        with pytest.raises(FrozenInstanceError):
            config.iterations = 1


def test_a_config_may_come_from_json():
    structure = asdict(Structure(mask=(8, 4)))
    with torch.device("meta"):
        network = create_network(
            "fast_foundation_stereo", structure=json.loads(json.dumps(structure))
        )

    assert network.update_block.mask[0].out_channels == 8


@pytest.mark.parametrize(
    ("name", "variant", "config"),
    [
        ("lite", "base", '{"max_disparity": 96}'),
        ("lite_any_stereo", "las2_h", '{"iterations": 2}'),
        ("s2m2", "s", '{"iterations": 0, "allow_negative": true}'),
        ("foundation_stereo", "vits", '{"attention_axis": "heads", "hierarchical": true}'),
        ("smoe_stereo", "damv2_vits", '{"selective": false, "iterations": 1}'),
        (
            "fast_foundation_stereo",
            "unpruned",
            '{"max_disparity": 64, "structure": {"features": 128, "blocks": {}, "stem": [16, 16]}}',
        ),
    ],
)
def test_a_config_that_an_earlier_file_holds_is_taken(name, variant, config):
    with torch.device("meta"):
        network = create_network(name, variant, **json.loads(config))

    assert network.variant == variant
