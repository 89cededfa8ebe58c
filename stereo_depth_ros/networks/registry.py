"""Find a network by name and build one of its variants."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.networks.base import StereoNetwork

# Each module has VARIANTS, whose first is the default, create(variant, **config), and may have
# ALIASES: other names for a variant with some config.
MODULES = (
    "lite",
    "fast_foundation_stereo",
    "lite_any_stereo",
    "s2m2",
    "foundation_stereo",
    "smoe_stereo",
)


class NetworkError(InputError):
    """A network that cannot be built; the text names the cause and the cure."""


def list_networks() -> dict[str, tuple[str, ...]]:
    """Return every network's name and its variants, the default variant first."""
    return {name: _module(name).VARIANTS for name in MODULES}


def create_network(name: str, variant: str | None = None, **config: Any) -> StereoNetwork:
    """Build ``variant`` (None: the default) of network ``name`` with untrained weights.

    ``config`` holds what the network lets one change (``iterations``, ``max_disparity``, …).

    Raises
    ------
    NetworkError
        For an unknown network or variant, or a ``config`` that it does not take.
    """
    if name not in MODULES:
        raise NetworkError(f"network '{name}' is not known; there are {', '.join(MODULES)}")
    module = _module(name)
    if variant is None:
        variant = module.VARIANTS[0]
    variant, preset = getattr(module, "ALIASES", {}).get(variant, (variant, {}))
    config = {**preset, **config}
    if variant not in module.VARIANTS:
        raise NetworkError(
            f"{name} has no variant '{variant}'; it has {', '.join(module.VARIANTS)}"
        )
    try:
        _check(module.create, config)
        return module.create(variant, **config)
    except (TypeError, ValueError) as error:
        if unknown := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
            raise NetworkError(f"{name} {variant} takes no {unknown[1]}") from error
        raise NetworkError(f"{name} {variant}: {error}") from error


_KINDS = {bool: "true or false", int: "a whole number", str: "a word"}


def _check(create: Callable[..., StereoNetwork], config: Mapping[str, Any]) -> None:
    """Refuse values that are not of the kind of the defaults."""
    parameters = inspect.signature(create).parameters
    for key, value in config.items():
        if key in parameters:
            kind = type(parameters[key].default)
        elif "config" in parameters:
            kind = int  # all that create hands on to a variant
        else:
            continue  # create refuses it
        if kind in _KINDS and type(value) is not kind:
            raise ValueError(f"{key} is {value!r}; it must be {_KINDS[kind]}")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"stereo_depth_ros.networks.{name}")
