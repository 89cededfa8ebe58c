import itertools
from collections import Counter

import pytest
import torch

from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.source import Mixture


class Numbers:
    """Draws batches that hold ``first``, ``first`` + 1, …"""

    def __init__(self, first):
        self.next = first

    def draw(self):
        self.next += 1
        batch = Batch(*(torch.full((1, 1, 1, 1), float(self.next - 1)) for _ in range(6)))
        return type("Drawn", (), {"wait": lambda self: batch})()

    def get_state(self):
        return {"next": self.next}

    def set_state(self, state):
        self.next = state["next"]


def draw(mixture, count):
    return [int(mixture.draw().wait().left) for _ in range(count)]


@pytest.mark.parametrize(
    ("weights", "shares"),
    [([3, 1, 1], [6, 2, 2]), ([1, 1, 0.5], [4, 4, 2]), ([7, 2, 1], [7, 2, 1])],
)
def test_sources_are_drawn_from_by_weight(weights, shares):
    numbers = draw(Mixture([Numbers(0), Numbers(100), Numbers(200)], weights), 10)

    assert Counter(number // 100 for number in numbers) == dict(enumerate(shares))
    for first in (0, 100, 200):
        own = [number for number in numbers if number // 100 == first // 100]
        assert own == list(range(first, first + len(own)))


def test_small_weights_are_spread_out():
    numbers = draw(Mixture([Numbers(0), Numbers(100)], [3, 1]), 40)

    places = [place for place, number in enumerate(numbers) if number >= 100]
    assert {after - before for before, after in itertools.pairwise(places)} == {4}


def test_mixture_goes_on_from_a_state():
    first = Mixture([Numbers(0), Numbers(100)], [2, 1])
    draw(first, 5)
    again = Mixture([Numbers(0), Numbers(100)], [2, 1])

    again.set_state(first.get_state())

    assert draw(again, 7) == draw(first, 7)
