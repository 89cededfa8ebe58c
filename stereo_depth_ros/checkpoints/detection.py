"""Tell which network's weights these are, and say what is wrong with those that are nobody's."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

import torch

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.networks import create_network
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


def expected_shapes(network: str, arguments: Mapping[str, Any]) -> Shapes:
    """Return the state dict of a network as keys and shapes, without making its weights."""
    with torch.device("meta"):
        made = create_network(network, **arguments)
    return {key: tuple(value.shape) for key, value in made.state_dict().items()}


def needless(network: str, expected: Shapes, actual: Shapes) -> set[str]:
    """Return the entries that the published files hold and the network does without."""
    patterns = getattr(network_module(network), "UNUSED", ())
    return {
        key
        for key in actual.keys() - expected.keys()
        if any(fnmatchcase(key, pattern) for pattern in patterns)
    }


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
        (name, variant): expected_shapes(name, {"variant": variant})
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
    expected = candidates[nearest]
    kept = {k: s for k, s in shapes.items() if k not in needless(name, expected, shapes)}
    return (
        f"is no whole checkpoint of a known network; nearest is {name} {variant}, but entries are "
        f"{mismatch(expected, kept)}. Fetch the file again, or import the authors' own"
    )


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (", …" if len(keys) > _SHOWN else "")
