"""What each network is trained for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks.base import StereoNetwork
from stereo_depth_ros.networks.lite import SPAN, Lite
from stereo_depth_ros.networks.s2m2 import S2M2
from stereo_depth_ros.networks.smoe_stereo.mixture import RoutingNoise
from stereo_depth_ros.networks.waft_stereo import WaftStereo
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.capture import capture
from stereo_depth_ros.training.losses import (
    balance,
    lite,
    regression,
    sequence,
    transport,
    uncertainty,
)

_SMOE_SPAN = 256  # px, up to which the authors train it


@dataclass(frozen=True)
class Objective:
    """What one network is trained for.

    Parameters
    ----------
    predict
        Takes the network and its inputs, of sides that are multiples of its own, and returns all
        that ``loss`` looks at.
    loss
        Takes what ``predict`` returned and the `Batch`, and returns terms by name, scalars of
        which the sum is minimised.
    prior_span
        Largest disparity in px of the samples' priors, that of its graph; 0 where it takes none.
    half_on_cpu
        Whether a CPU may train it in bfloat16 too, in which 3-D convolutions abort the process.
    """

    predict: Callable[..., Any]
    loss: Callable[[Any, Batch], dict[str, Tensor]]
    prior_span: int = 0
    half_on_cpu: bool = False


def objective_of(network: StereoNetwork) -> Objective:
    """Return what ``network`` is trained for.

    Raises
    ------
    InputError
        For a network that cannot be trained.
    """
    if network.name not in _MAKERS:
        raise InputError(f"{network.name} cannot be trained; there is {', '.join(_MAKERS)}")
    return _MAKERS[network.name](network)


def _make_lite(network: StereoNetwork) -> Objective:
    return Objective(
        Lite.matches,
        lambda matches, batch: lite.loss(matches, batch.disparity, batch.prior),
        prior_span=SPAN,
        half_on_cpu=True,
    )


def _predict_disparities(network: StereoNetwork, *inputs: Tensor) -> list[Tensor]:
    return [output.disparity for output in network.predictions(*inputs)]


def _make_sequence(network: StereoNetwork) -> Objective:
    return Objective(
        _predict_disparities,
        partial(sequence.loss, span=network.max_disparity, has_initial=True),
    )


def _make_lite_any_stereo(network: StereoNetwork) -> Objective:
    if network.iterations is not None:
        return _make_sequence(network)
    return Objective(_predict_disparities, partial(regression.loss, span=network.max_disparity))


def _predict_transport(network: S2M2, left: Tensor, right: Tensor) -> tuple[list[Tensor], Tensor]:
    with capture([network.disp_init]) as calls:
        maps = [step() for step in network.maps(left, right)]
    return maps, calls[0][1][-1]


def _make_s2m2(network: StereoNetwork) -> Objective:
    return Objective(
        _predict_transport, lambda both, batch: transport.loss(both[0], both[1], batch)
    )


def _predict_mixture(
    network: StereoNetwork, left: Tensor, right: Tensor
) -> tuple[list[Tensor], list[balance.Routing]]:
    noises = (module for module in network.modules() if isinstance(module, RoutingNoise))
    with capture(noises) as calls:
        disparities = _predict_disparities(network, left, right)
    return disparities, [balance.Routing(*call) for call in calls]


def _make_smoe_stereo(network: StereoNetwork) -> Objective:
    def loss(passed: tuple[list[Tensor], list[balance.Routing]], batch: Batch) -> dict[str, Tensor]:
        disparities, routings = passed
        terms = sequence.loss(disparities, batch, span=_SMOE_SPAN, has_initial=False)
        return {**terms, "balance": balance.loss(routings, RoutingNoise.SIZE)}

    return Objective(_predict_mixture, loss)


def _predict_stages(network: WaftStereo, left: Tensor, right: Tensor) -> list[Any]:
    return [stage() for stage in network.stages(left, right)]


def _make_waft_stereo(network: StereoNetwork) -> Objective:
    assert isinstance(network, WaftStereo)
    return Objective(_predict_stages, partial(uncertainty.loss, bin_width=network.bin_width))


_MAKERS: dict[str, Callable[[StereoNetwork], Objective]] = {
    "lite": _make_lite,
    "fast_foundation_stereo": _make_sequence,
    "lite_any_stereo": _make_lite_any_stereo,
    "s2m2": _make_s2m2,
    "foundation_stereo": _make_sequence,
    "smoe_stereo": _make_smoe_stereo,
    "waft_stereo": _make_waft_stereo,
}
"""By the name of the network."""
