"""A network that is told what a matcher found, and those that are not."""

import pytest
import torch

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput


class Blind(StereoNetwork):
    """Finds the red of the left image everywhere."""

    name, variant, licence = "blind", "only", "Apache-2.0"
    multiple, max_disparity = 8, 64

    def match(self, left, right):
        return StereoOutput(left[:, :1], right[:, :1])


class Echo(StereoNetwork):
    """Answers with its prior, and keeps what it saw of it."""

    name, variant, licence = "echo", "only", "Apache-2.0"
    multiple, max_disparity = 8, 64
    takes_prior = True

    def match(self, left, right, prior, prior_confidence):
        self.seen = prior, prior_confidence
        assert left.shape[2:] == prior.shape[2:] == prior_confidence.shape[2:]
        return StereoOutput(prior, prior_confidence)


def pair(height=10, width=21, batch=2):
    return torch.rand(2, batch, 3, height, width) * 255


def prior(height=10, width=21, batch=2):
    return torch.rand(2, batch, 1, height, width) + 1


def test_prior_reaches_the_network_pixel_by_pixel_at_an_odd_size():
    found, confidence = prior()

    answer = Echo()(*pair(), found, confidence)

    assert torch.equal(answer.disparity, found)
    assert torch.equal(answer.confidence, confidence)


def test_padding_around_the_prior_is_no_prior():
    network = Echo()

    network(*pair(), *prior())

    for seen in network.seen:
        assert seen.shape == (2, 1, 16, 24)
        assert seen.count_nonzero() == 2 * 10 * 21


def test_size_that_fits_is_handed_over_as_it_is():
    network, given = Echo(), prior(16, 24)

    network(*pair(16, 24), *given)

    assert torch.equal(torch.stack(network.seen), given)


def test_no_prior_is_zeros():
    network = Echo()

    answer = network(*pair())

    assert answer.disparity.shape == (2, 1, 10, 21)
    assert not torch.stack(network.seen).any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((prior()[0], None), r"prior_confidence is missing; give \(2, 1, 10, 21\)"),
        ((None, prior()[0]), "prior is missing"),
        (tuple(prior(10, 20)), r"prior is \(2, 1, 10, 20\); give \(2, 1, 10, 21\)"),
        ((prior()[0], prior()[0][:, 0]), r"prior_confidence is \(2, 10, 21\)"),
    ],
    ids=["no_confidence", "no_disparity", "width", "channels"],
)
def test_prior_that_does_not_fit_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        Echo()(*pair(), *given)


def test_network_without_a_prior_is_as_before_and_refuses_one():
    left, right = pair()

    assert torch.equal(Blind()(left, right).disparity, left[:, :1])
    with pytest.raises(ValueError, match="blind takes no prior"):
        Blind()(left, right, *prior())
