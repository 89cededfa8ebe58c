"""The node's parameters: declared, read and checked as the table says."""

from __future__ import annotations

import re
from typing import Any

from rclpy.node import Node

from stereo_depth_ros.excerpt import excerpt, excerpt_repr
from stereo_depth_ros.ros.parameter_table import PARAMETERS, PARSERS, Parameter
from stereo_depth_ros.settings import MEANINGS, Settings

MAX_TEXT = 4096
"""Longest text that a parameter takes, in characters."""

_BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}


def declare(node: Node) -> None:
    """Declare every parameter on ``node``.

    Raises
    ------
    ValueError
        Where a parameter was given a value of another type, or a number beyond its limits; in our
        words, as rclpy's say neither what is allowed nor how it is written.
    """
    given = node._parameter_overrides
    for parameter in PARAMETERS:
        if parameter.name in given:
            value = given[parameter.name].value
            reason = type_problem(parameter.name, value) or _limits_problem(parameter, value)
            if reason:
                raise ValueError(reason)
        node.declare_parameter(parameter.name, parameter.default, parameter.descriptor())


def current(node: Node) -> dict[str, Any]:
    """Return the values of all parameters of the table."""
    return {p.name: node.get_parameter(p.name).value for p in PARAMETERS}


LIVE = frozenset(parameter.name for parameter in PARAMETERS if parameter.live)
"""Names of the parameters that act while the node runs."""


def type_problem(name: str, value: Any) -> str | None:
    """Return why no ``value`` of its type may be given to ``name``, or None where one may."""
    parameter = _BY_NAME.get(name)
    if parameter is None or type(value) is type(parameter.default):
        return None
    return f"{name} is {excerpt_repr(value)}; {_cure_of_type(type(parameter.default), value)}"


def problem(name: str, value: Any) -> str | None:
    """Return why ``name`` may never be ``value``, or None where it may."""
    parameter = _BY_NAME.get(name)
    reason = type_problem(name, value)
    if parameter is None or reason:
        return reason
    reason = _limits_problem(parameter, value)
    if reason:
        return reason
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{name} is {len(value)} characters long; at most {MAX_TEXT} are allowed"
    if parameter.choices and value not in parameter.choices:
        return f"{name} is '{excerpt(value, 100)}'; it must be one of {parameter.constraint}"
    return None


def _limits_problem(parameter: Parameter, value: Any) -> str | None:
    if parameter.limits is None or parameter.limits[0] <= value <= parameter.limits[1]:
        return None
    return f"{parameter.name} is {value}; it must be from {parameter.constraint}"


def _cure_of_type(kind: type, value: Any) -> str:
    """Return what to write where a parameter of type ``kind`` was given ``value``."""
    if value is None:
        return "it cannot be deleted"
    if kind is float and type(value) is int and abs(value) < 1e15:
        return f"it takes a decimal number: write {float(value)}"
    if kind is int and type(value) is float and value.is_integer() and abs(value) < 1e15:
        return f"it takes a whole number: write {int(value)}"
    if kind is not str and type(value) is str and _is_written_as(kind, value):
        return f"write {value} without quotes"
    if kind is str and type(value) is not list:
        return f"it takes text: write '\"{excerpt(value, 100)}\"'"
    return (
        "it takes "
        + {
            bool: "true or false",
            int: "a whole number",
            float: "a decimal number such as 1.5",
            str: "text",
        }[kind]
    )


def _is_written_as(kind: type, text: str) -> bool:
    pattern = {bool: "true|false", int: r"-?\d{1,15}", float: r"-?\d{1,15}\.\d{1,15}"}[kind]
    return re.fullmatch(pattern, text, re.ASCII) is not None


def refusal(values: dict[str, Any], changes: dict[str, Any], configured: bool) -> str | None:
    """Return why ``changes`` may not be made to the node's ``values`` now, or None.

    A change to the value that a parameter has already is none.
    """
    own = {n: v for n, v in changes.items() if n in _BY_NAME and v != values[n]}
    for name, value in own.items():
        reason = problem(name, value)
        if reason:
            return reason
        if configured and name not in LIVE:
            return (
                f"{name} is used when the node is configured; 'ros2 lifecycle set' it to "
                "deactivate and cleanup first, then change it"
            )
    if own.keys() & LIVE:
        try:
            settings_from({**values, **own})
        except ValueError as error:
            return str(error)
    return None


def check(values: dict[str, Any]) -> None:
    """Raise ValueError for the first of ``values`` that is not allowed."""
    for name, value in values.items():
        reason = problem(name, value)
        if reason:
            raise ValueError(reason)


def settings_from(values: dict[str, Any]) -> Settings:
    """Return the pipeline settings of parameter ``values``.

    Raises
    ------
    ValueError
        When values contradict each other; the text says which and how.
    """
    settings: dict[str, Any] = {}
    for setting, meaning in MEANINGS.items():
        value = values[meaning.parameter or setting]
        settings[setting] = PARSERS[setting](value) if setting in PARSERS else value
    return Settings(**settings)
