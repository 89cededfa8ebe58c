from dataclasses import replace

import pytest
import torch

from stereo_depth_ros.networks import StereoNetwork, create_network
from stereo_depth_ros.networks.registry import NETWORKS
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.objectives import objective_of
from stereo_depth_ros.training.recipes import RECIPES


def test_there_is_a_recipe_for_every_network():
    assert tuple(RECIPES) == NETWORKS
    assert all(recipe.network == name for name, recipe in RECIPES.items())


def batch(height=32, width=64):
    generator = torch.Generator().manual_seed(0)
    left, right = 255 * torch.rand(2, 1, 3, height, width, generator=generator)
    disparity = torch.full((1, 1, height, width), 8.0)
    return Batch(left, right, disparity, disparity * 0 + 1, disparity, disparity * 0 + 1)


@pytest.mark.parametrize(
    ("name", "variant", "terms"),
    [
        ("lite", "base", {"disparity", "matched", "half", "distribution", "choice", "confidence"}),
        ("lite_any_stereo", "las2_s", {"interpolated", "upsampled"}),
        ("lite_any_stereo", "las2_h", {"initial", "steps"}),
        ("fast_foundation_stereo", "pruned", {"initial", "steps"}),
        ("foundation_stereo", "vits", {"initial", "steps"}),
        ("s2m2", "s", {"disparity", "occlusion", "confidence", "transport"}),
        ("smoe_stereo", "damv2_vits", {"steps", "balance"}),
        ("waft_stereo", "dav2_vits", {"initial", "steps"}),
    ],
)
@torch.no_grad()
def test_terms_are_the_scalars_of_the_network_s_family(name, variant, terms):
    torch.manual_seed(0)
    network = create_network(name, variant)
    network.iterations = network.iterations and 1
    objective, pair = objective_of(network), batch()

    losses = objective.loss(objective.predict(network, *pair.inputs_of(network)), pair)

    assert set(losses) == terms
    assert {term.shape for term in losses.values()} == {()}
    assert all(term.isfinite() for term in losses.values())


def test_prior_of_lite_reaches_as_far_as_its_graph_does():
    network = create_network("lite")

    assert objective_of(network).prior_span == network.max_disparity == 192


def test_network_without_an_objective_is_refused():
    network = StereoNetwork()
    network.name = "other"

    with pytest.raises(ValueError, match="other cannot be trained; there is lite, fast_found"):
        objective_of(network)


@pytest.mark.parametrize(("takes_prior", "count"), [(True, 4), (False, 2)])
def test_network_is_given_the_prior_it_takes(takes_prior, count):
    network = StereoNetwork()
    network.takes_prior = takes_prior
    pair = replace(batch(), prior_confidence=torch.zeros(1, 1, 32, 64))

    inputs = pair.inputs_of(network)

    assert len(inputs) == count
    assert inputs[0] is pair.left
    assert inputs[-1] is (pair.prior_confidence if takes_prior else pair.right)
