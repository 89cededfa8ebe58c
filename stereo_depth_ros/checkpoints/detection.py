"""Tell which network's weights these are, and say what is wrong with those that are nobody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.reading import shapes_of
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.networks import StereoNetwork, create_network
from stereo_depth_ros.networks.registry import NETWORKS, network_module

Shapes = Mapping[str, tuple[int, ...]]
_SHOWN, _LETTERS_SHOWN = 5, 80  # keys of each kind in an error, and letters of a key


def identify(shapes: Shapes, network: str | None = None) -> tuple[str, dict[str, Any]]:
    """Return the network that has these entries, and the arguments that build it.

    The arguments are those of ``create_network``, ``variant`` among them. ``network``, where given,
    is the only one considered.

    Raises
    ------
    CheckpointError
        When it is none, or several; the text names the network that comes nearest.
    """
    candidates = recognise(shapes, network)
    if len(candidates) == 1:
        return next(iter(candidates.items()))
    if candidates:
        raise CheckpointError(
            f"holds entries of several networks, {' and '.join(candidates)}; give --network if you "
            "know that the others do not matter, or fetch the file again"
        )
    raise CheckpointError(_describe_misfit(shapes, _recognisable(network)))


def recognise(shapes: Shapes, network: str | None = None) -> dict[str, dict[str, Any]]:
    """Return every network that has the telling ones of these entries; see `identify`."""
    candidates = {name: _recognise(name, shapes) for name in _recognisable(network)}
    return {name: arguments for name, arguments in candidates.items() if arguments}


def _recognisable(network: str | None) -> list[str]:
    """Return the networks with published checkpoints, or ``network`` alone."""
    # A network of our own has none, and nothing to recognise them by.
    known = [name for name in NETWORKS if hasattr(network_module(name), "recognise")]
    if network is None:
        return known
    if not hasattr(network_module(network), "recognise"):
        raise CheckpointError(f"{network} has no published checkpoints, but {', '.join(known)} do")
    return [network]


def blueprint(network: str, arguments: Mapping[str, Any]) -> StereoNetwork:
    """Return a network without making its weights."""
    with torch.device("meta"):
        return build(network, arguments)


def build(network: str, arguments: Mapping[str, Any]) -> StereoNetwork:
    """Return a network with untrained weights, of arguments that come from a file.

    Raises
    ------
    CheckpointError, NetworkError
        When nothing can be built of them.
    """
    try:
        return create_network(network, **arguments)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot build {network} of the settings in it ({excerpt(error)}); import "
            "the authors' file again"
        ) from error


def mismatch(expected: Shapes, actual: Shapes) -> str:
    """Return how ``actual`` differs from ``expected``, "" where it does not."""
    missing = [key for key in expected if key not in actual]
    unexpected = [key for key in actual if key not in expected]
    reshaped = [
        f"{excerpt(key, _LETTERS_SHOWN)} {actual[key]} instead of {expected[key]}"
        for key in expected
        if key in actual and actual[key] != expected[key]
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of a wrong shape": reshaped}
    return "; ".join(
        f"{len(keys)} {kind}: {_list_some(keys)}" for kind, keys in kinds.items() if keys
    )


def _recognise(name: str, shapes: Shapes) -> dict[str, Any] | None:
    try:
        return network_module(name).recognise(shapes)
    except (IndexError, KeyError, TypeError):  # a telling entry is there, but not of its shape
        return None


def _describe_misfit(shapes: Shapes, networks: list[str]) -> str:
    """Say that these entries are of none of ``networks``, or what they lack to be of one."""
    candidates = {
        (name, variant): shapes_of(blueprint(name, {"variant": variant}).state_dict())
        for name in networks
        for variant in network_module(name).VARIANTS
    }

    def likeness(candidate: tuple[str, str]) -> float:
        expected = candidates[candidate].items()
        return len(expected & shapes.items()) / len(expected | shapes.items())

    name, variant = nearest = max(candidates, key=likeness)
    matches = len(candidates[nearest].items() & shapes.items())
    if 2 * matches < len(shapes):
        asked = f"one of the supported networks ({', '.join(networks)})"
        return (
            f"is not {networks[0] if len(networks) == 1 else asked}: "
            f"{matches} of its {len(shapes)} entries ({_list_some(list(shapes))}) "
            "fit; 'stereo-depth models' lists the files that can be imported"
        )
    own = blueprint(name, {"variant": variant}).own_entries(shapes)
    return (
        f"is no whole checkpoint of a known network; nearest is {name} {variant}, but entries are "
        f"{mismatch(candidates[nearest], own)}. Fetch the file again, or import the authors' own"
    )


def _list_some(keys: list[str]) -> str:
    shown = ", ".join(excerpt(key, _LETTERS_SHOWN) for key in keys[:_SHOWN])
    return shown + (", …" if len(keys) > _SHOWN else "")
