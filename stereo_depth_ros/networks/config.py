"""Change the config of a network by values whose names and types are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Config = TypeVar("Config")

_KINDS = {bool: "true or false", int: "a whole number", str: "a word"}


def update(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return the dataclass ``config`` with ``changes``, which may come from JSON.

    Raises
    ------
    ValueError
        For a name that is no field of it, or a value that is not of the field's type.
    """
    return replace(config, **_check(type(config), changes, ""))  # type: ignore[type-var]


def require_min(minimum: int, **values: int) -> None:
    """Raise a ValueError for one of ``values`` below ``minimum``."""
    for name, value in values.items():
        if value < minimum:
            raise ValueError(f"{name} is {value}; it must be {minimum} or more")


def require_multiple(factor: int, **values: int) -> None:
    """Raise a ValueError for one of ``values`` that is not a positive multiple of ``factor``."""
    for name, value in values.items():
        if value < factor or value % factor:
            raise ValueError(f"{name} is {value}; it must be a multiple of {factor}")


def _check(kind: type, values: Mapping[str, Any], path: str) -> dict[str, Any]:
    names = [field.name for field in fields(kind)]
    if unknown := [name for name in values if name not in names]:
        raise ValueError(f"takes no {path}{unknown[0]}, only {', '.join(names) or 'a variant'}")
    kinds = get_type_hints(kind)
    return {name: _convert(value, kinds[name], f"{path}{name}") for name, value in values.items()}


def _convert(value: Any, kind: Any, name: str) -> Any:
    """Return ``value`` as ``kind``: JSON has no tuples and no dataclasses."""
    if isinstance(kind, type) and is_dataclass(kind):
        if isinstance(value, Mapping):
            return kind(**_check(kind, value, f"{name}."))
        expected, fits = "a record", isinstance(value, kind)
    elif get_origin(kind) is tuple:
        count = len(get_args(kind))
        expected = f"{count} whole numbers"
        fits = isinstance(value, (list, tuple)) and [type(item) for item in value] == [int] * count
        value = tuple(value) if fits else value
    elif kind in _KINDS:
        expected, fits = _KINDS[kind], type(value) is kind
    else:
        expected, fits = "a record", isinstance(value, get_origin(kind))
    if not fits:
        raise ValueError(f"{name} is {value!r}; it must be {expected}")
    return value
