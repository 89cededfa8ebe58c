"""Tell which network's weights these are, and say what is wrong with those that are nobody's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.reading import shapes_of
from stereo_depth_ros.networks import StereoNetwork, create_network
from stereo_depth_ros.networks.registry import MODULES

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN = 5  # keys of each kind in an error


def network_module(name: str) -> ModuleType:
    """Return the module of network ``name``, with its VARIANTS, SOURCES and ``recognise``."""
    if name not in MODULES:
        raise CheckpointError(f"network '{name}' is not known; there are {', '.join(MODULES)}")
    return importlib.import_module(f"stereo_depth_ros.networks.{name}")


def identify(shapes: Shapes, network: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the network that has these entries, and the arguments that build it.

    The arguments are those of ``create``, ``variant`` among them. ``network``, where given, is the
    only one considered.

    Raises
    ------
    CheckpointError
        When it is none, or several; the text names the network that comes nearest.
    """
    # A network of our own has no published checkpoints, and nothing to recognise them by.
    known = [name for name in MODULES if hasattr(network_module(name), "recognise")]
    asked = known if network is None else [network]
    if network is not None and not hasattr(network_module(network), "recognise"):
        raise CheckpointError(f"{network} has no published checkpoints, but {', '.join(known)} do")
    found = {name: arguments for name in asked if (arguments := _recognised(name, shapes))}
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        raise CheckpointError(
            f"holds entries of several networks, {' and '.join(found)}; give --network if you know "
            "that the others do not matter, or fetch the file again"
        )
    raise CheckpointError(_nearest(shapes, asked))


def blueprint(network: str, arguments: Mapping[str, Any]) -> StereoNetwork:
    """Return a network without making its weights."""
    with torch.device("meta"):
        return create_network(network, **arguments)


def mismatch(expected: Shapes, actual: Shapes) -> str:
    """Return how ``actual`` differs from ``expected``, "" where it does not."""
    missing = [key for key in expected if key not in actual]
    unexpected = [key for key in actual if key not in expected]
    reshaped = [
        f"{key} {actual[key]} instead of {expected[key]}"
        for key in expected
        if key in actual and actual[key] != expected[key]
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of a wrong shape": reshaped}
    return "; ".join(f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in kinds.items() if keys)


def _recognised(name: str, shapes: Shapes) -> dict[str, Any] | None:
    try:
        return network_module(name).recognise(shapes)
    except (IndexError, KeyError, TypeError):  # a telling entry is there, but not of its shape
        return None


def _nearest(shapes: Shapes, networks: list[str]) -> str:
    """Say what lacks to be one of ``networks``."""
    candidates = {
        (name, variant): shapes_of(blueprint(name, {"variant": variant}).state_dict())
        for name in networks
        for variant in network_module(name).VARIANTS
    }

    def likeness(candidate: tuple[str, str]) -> float:
        keys = candidates[candidate].keys()
        return len(keys & shapes.keys()) / len(keys | shapes.keys())

    name, variant = nearest = max(candidates, key=likeness)
    if not likeness(nearest):
        return (
            f"none of its entries ({_some(list(shapes))}) is known in {', '.join(networks)}; if "
            "they were renamed, import the authors' own file"
        )
    kept = blueprint(name, {"variant": variant}).own_entries(shapes)
    return (
        f"is no whole checkpoint of a known network; nearest is {name} {variant}, but entries are "
        f"{mismatch(candidates[nearest], kept)}. Fetch the file again, or import the authors' own"
    )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
