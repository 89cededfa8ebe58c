"""Networks that reach their disparity step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput


class IterativeNetwork(StereoNetwork):
    """A network whose pass consists of steps, each with a disparity of its own.

    A subclass implements ``steps``, which takes what ``match`` takes. What a step yields is a
    function that makes its output at full size: a runner needs only the last.
    """

    steps: Callable[..., Iterator[Callable[[], StereoOutput]]]

    def match(self, *inputs: Tensor) -> StereoOutput:
        """Match a pair whose height and width are multiples of ``multiple``; see ``forward``."""
        for output in self.steps(*inputs):
            last = output
        return last()

    def predictions(self, left: Tensor, right: Tensor, *prior: Tensor) -> Iterator[StereoOutput]:
        """Yield the output of each step of a pass at full size, the last that of ``forward``."""
        inputs, restore = self.prepare(left, right, *prior)
        for output in self.steps(*inputs):
            yield restore(output())


class Step(NamedTuple):
    """The recurrent state and the disparity (B, 1, h, w) after a step, and what it added to it."""

    hidden: Any
    disparity: Tensor
    change: Tensor


def refine(
    update: Callable[..., tuple[Any, Tensor]],
    look_up: Callable[[Tensor], Tensor],
    hidden: Any,
    context: Sequence[Any],
    disparity: Tensor,
    iterations: int,
) -> Iterator[Step]:
    """Refine ``disparity`` (B, 1, h, w), float32, ``iterations`` times.

    ``look_up`` returns what the volumes hold around a disparity. ``update(hidden, *context,
    disparity, looked_up)`` returns the next ``hidden`` and what to add to the disparity.
    """
    for _ in range(iterations):
        disparity = disparity.detach()  # as published: each step is trained by its own loss
        hidden, change = update(hidden, *context, disparity, look_up(disparity))
        disparity = disparity + change
        yield Step(hidden, disparity, change)
