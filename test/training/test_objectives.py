from dataclasses import replace

import pytest
import torch

from stereo_depth_ros.networks import StereoNetwork, create_network
from stereo_depth_ros.networks.registry import NETWORKS
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.objectives import OBJECTIVES, objective_of


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objective_is_of_the_network_that_the_registry_builds(name):
    network = create_network(name)

    assert name in NETWORKS
    assert type(network) is objective_of(name).network
    assert network.name == name


def sample(height=32, width=64):
    generator = torch.Generator().manual_seed(0)
    left, right = 255 * torch.rand(2, 1, 3, height, width, generator=generator)
    disparity = torch.full((1, 1, height, width), 8.0)
    return Batch(left, right, disparity, disparity * 0 + 1, disparity, disparity * 0 + 1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_terms_are_scalars_that_move_the_network(name):
    torch.manual_seed(0)
    objective, network = objective_of(name), create_network(name)
    batch = sample()

    terms = objective.loss(objective.predict(network, *batch.inputs_of(network)), batch)

    assert {term.shape for term in terms.values()} == {()}
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_prior_of_lite_reaches_as_far_as_its_graph_does():
    assert objective_of("lite").prior_span == create_network("lite").max_disparity == 192


def test_network_without_an_objective_is_refused():
    with pytest.raises(ValueError, match="s2m2 cannot be trained; there is lite"):
        objective_of("s2m2")


@pytest.mark.parametrize(("takes_prior", "count"), [(True, 4), (False, 2)])
def test_network_is_given_the_prior_it_takes(takes_prior, count):
    network = StereoNetwork()
    network.takes_prior = takes_prior
    batch = replace(sample(), prior_confidence=torch.zeros(1, 1, 32, 64))

    inputs = batch.inputs_of(network)

    assert len(inputs) == count
    assert inputs[0] is batch.left
    assert inputs[-1] is (batch.prior_confidence if takes_prior else batch.right)
