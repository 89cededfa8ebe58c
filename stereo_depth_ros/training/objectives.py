"""What the trainer has to know of each network that can be trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks.base import StereoNetwork
from stereo_depth_ros.networks.lite import SPAN, Lite
from stereo_depth_ros.training import losses
from stereo_depth_ros.training.batch import Batch


@dataclass(frozen=True)
class Objective:
    """How one network is trained.

    Parameters
    ----------
    network
        Its class; the registry of networks builds it.
    description
        What the card of a trained one calls it.
    predict
        Takes the network and its inputs, and returns all that ``loss`` looks at.
    loss
        Takes what ``predict`` returned and the `Batch`, and returns terms by name, scalars of
        which the sum is minimised.
    prior_span
        Largest disparity in px of the samples' priors, that of its graph; 0 where it takes none.
    """

    network: type[StereoNetwork]
    description: str
    predict: Callable[..., Any]
    loss: Callable[[Any, Batch], dict[str, Tensor]]
    prior_span: int = 0


OBJECTIVES = {
    Lite.name: Objective(
        network=Lite,
        description="Our own small network for a CPU or a small GPU",
        predict=Lite.matches,
        loss=lambda matches, batch: losses.loss(matches, batch.disparity, batch.prior),
        prior_span=SPAN,
    )
}
"""By the name of the network."""


def objective_of(network: str) -> Objective:
    """Return how ``network`` is trained.

    Raises
    ------
    InputError
        For a network that cannot be trained.
    """
    if network not in OBJECTIVES:
        raise InputError(f"{network} cannot be trained; there is {', '.join(OBJECTIVES)}")
    return OBJECTIVES[network]
