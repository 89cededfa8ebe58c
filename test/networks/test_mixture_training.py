"""What SMoE-Stereo's mixtures do in training, and do not when they match."""

import math

import pytest
import torch

from stereo_depth_ros.networks.smoe_stereo.mixture import Gate, LowRankMixture, RoutingNoise


@pytest.fixture
def tokens():
    return torch.randn(2000, 1, 8, generator=torch.Generator().manual_seed(0))


def make_gate(logit):
    gate = Gate(8)
    torch.nn.init.zeros_(gate.mlp_head.weight)
    gate.mlp_head.bias.data = torch.tensor([logit, 0.0])
    return gate


@pytest.mark.parametrize("logit", [-1.0, 0.5, 1.0])
def test_gate_opens_by_chance_in_training_and_by_its_sign_else(logit, tokens):
    gate = make_gate(logit)
    torch.manual_seed(0)

    in_training, matching = gate(tokens).detach(), gate.eval()(tokens)

    assert set(in_training.round(decimals=6).flatten().tolist()) == {0.0, 1.0}
    # A draw of Gumbel is below x with probability exp(-exp(-x)).
    expected = 1 - math.exp(-math.exp(logit))
    assert float(in_training.mean()) == pytest.approx(expected, abs=0.04)
    assert set(matching.flatten().tolist()) == {float(logit > 0)}


def test_gate_learns_by_its_soft_choice(tokens):
    gate = make_gate(0.5)

    gate(tokens).mean().backward()

    # The slope of sigmoid(x / 5) is at most 1 / 20.
    assert 0.02 < float(gate.mlp_head.bias.grad[0]) < 0.05
    assert float(gate.mlp_head.bias.grad[1]) == 0


def test_noise_on_the_scores_is_there_in_training_alone():
    noise, scores = RoutingNoise(), torch.zeros(1, 5000, 4)
    torch.manual_seed(0)

    assert float(noise(scores).std()) == pytest.approx(RoutingNoise.SIZE, rel=0.03)
    assert pytest.approx(math.log(2) + 0.001, abs=1e-3) == RoutingNoise.SIZE
    assert torch.equal(noise.eval()(scores), scores)


def test_noise_makes_experts_take_turns(tokens):
    mixture = LowRankMixture(8, selective=False)
    torch.manual_seed(0)

    chosen = mixture.route(tokens)

    assert set(chosen.flatten().tolist()) == {0, 1, 2, 3}
    assert set(mixture.eval().route(tokens).flatten().tolist()) == {0}
