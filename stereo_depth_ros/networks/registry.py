"""Find a network by name and build one of its variants."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks.base import StereoNetwork
from stereo_depth_ros.networks.config import update

NETWORKS = (
    "lite",
    "fast_foundation_stereo",
    "lite_any_stereo",
    "s2m2",
    "foundation_stereo",
    "smoe_stereo",
    "waft_stereo",
)
"""Modules here, each of one network.

Each has VARIANTS, a frozen dataclass by name, the default first, and ``create(variant, config)``;
one with published weights, which `stereo_depth_ros.published` lists, has ``recognise(shapes)``,
which returns a variant and changes of its config.
"""


class NetworkError(InputError):
    """A network that cannot be built; the text names the cause and the cure."""


def list_networks() -> dict[str, tuple[str, ...]]:
    """List what can be built.

    Returns
    -------
    dict
        Variants by the name of their network, the default variant first.
    """
    return {name: tuple(network_module(name).VARIANTS) for name in NETWORKS}


def create_network(name: str, variant: str | None = None, **changes: Any) -> StereoNetwork:
    """Build a network with untrained weights.

    Parameters
    ----------
    name, variant
        As `list_networks` returns them; None for the default variant.
    **changes
        Fields of the variant's config (``iterations``, ``max_disparity``, …), as Python or JSON
        holds them.

    Returns
    -------
    StereoNetwork
        In training mode, on the CPU.

    Raises
    ------
    NetworkError
        For an unknown network or variant, or for changes that its config does not take.
    """
    module = network_module(name)
    if variant is None:
        variant = next(iter(module.VARIANTS))
    if variant not in module.VARIANTS:
        raise NetworkError(
            f"{name} has no variant '{variant}'; it has {', '.join(module.VARIANTS)}"
        )
    try:
        return module.create(variant, update(module.VARIANTS[variant], changes))
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name} {variant}: {error}") from error


def network_module(name: str) -> ModuleType:
    """Import the module of a network.

    Parameters
    ----------
    name
        One of `NETWORKS`, which says what the module holds.

    Returns
    -------
    ModuleType
        Of ``stereo_depth_ros.networks``.

    Raises
    ------
    NetworkError
        For an unknown network.
    """
    if name not in NETWORKS:
        raise NetworkError(f"network '{name}' is not known; there are {', '.join(NETWORKS)}")
    return importlib.import_module(f"stereo_depth_ros.networks.{name}")
