"""Parameters that a user gave to the process and that reach nothing: named instead of ignored."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from stereo_depth_ros.excerpt import excerpt

if TYPE_CHECKING:
    from rclpy.node import Node

_KEY = "ros__parameters"
_TRUE = ("Y", "y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("N", "n", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_INTEGER = re.compile(r"[-+]?(0[xX][\da-fA-F]{1,15}|0[0-7]{0,18}|[1-9]\d{0,17})")
_NUMBER = re.compile(
    r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|\.?inf(inity)?|\.?nan)", re.IGNORECASE | re.ASCII
)


def warn_of_unused(node: Node) -> None:
    """Name in the log of ``node`` what the process was given for it and it does not know."""
    given = node._parameter_overrides
    lines, others = sort_unknown_names(given, list(node.get_parameters_by_prefix("")))
    for line in (*find_unused_files(sys.argv, node.get_fully_qualified_name()), *lines):
        node.get_logger().warning(line)
    if others:
        text = excerpt(", ".join(others))
        node.get_logger().info(f"parameters that this node does not know: {text}")


def find_unused_files(arguments: Sequence[str], node_name: str) -> list[str]:
    """Return one line for each --params-file in ``arguments`` that has no key for ``node_name``.

    ``node_name`` is the full one.
    """
    lines = []
    for file in _files(arguments):
        keys = [key for key, _ in _sections(file)]
        if keys and not any(_is_for(key, node_name) for key in keys):
            lines.append(
                f"{file} sets nothing here, as none of its keys ({excerpt(', '.join(keys))}) "
                f"is the name of this node; write '/**:' or '{node_name}:'"
            )
    return lines


def sort_unknown_names(given: Iterable[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Sort out the parameter names ``given`` to a node that are not among its ``known`` ones.

    Returns one line for each that resembles a known name, and the others: a file under '/**:'
    may serve several nodes. QoS overrides are left out.
    """
    lines, others = [], []
    for name in given:
        if name in known or name.startswith("qos_overrides."):
            continue
        similar = get_close_matches(name, known, 1, 0.75)
        if similar:
            lines.append(
                f"parameter {excerpt(name, 100)} is not known and ignored; did you mean "
                f"{similar[0]}?"
            )
        else:
            others.append(name)
    return lines, others


def find_type_problem(
    arguments: Sequence[str], node_name: str, problem: Callable[[str, Any], str | None]
) -> str | None:
    """Return the first ``problem`` of a parameter that ``arguments`` give to ``node_name``.

    Each value counts, as rcl keeps one per type of a parameter and rclpy takes one of those:
    a value of the wrong type may otherwise lose, unseen, against one in another file.
    """
    for origin, name, value in _read_given(arguments, node_name):
        reason = problem(name, value)
        if reason:
            return f"{origin}: {reason}"
    return None


def _read_given(arguments: Sequence[str], node_name: str) -> Iterator[tuple[str, str, Any]]:
    """Yield origin, name and value of each parameter for ``node_name``."""
    for file in _files(arguments):
        for key, section in _sections(file):
            if _is_for(key, node_name):
                for name, value in _values(section, ""):
                    yield file, name, value
    for option, rule in pairwise(arguments):
        target, assigns, text = rule.partition(":=")
        if option in ("-p", "--param") and assigns:
            node, _, name = target.rpartition(":")
            if not node or _is_for(node, node_name):
                for value in _values_of_text(text):
                    yield option, name, value


def _files(arguments: Sequence[str]) -> list[str]:
    return [value for option, value in pairwise(arguments) if option == "--params-file"]


def _values_of_text(text: str) -> list[Any]:
    try:
        return [value for _, value in _values(yaml.compose(text, yaml.SafeLoader), "")]
    except yaml.YAMLError:
        return []


def _sections(file: str) -> list[tuple[str, yaml.Node]]:
    """Return the parameters in ``file`` of each node, beside the key that names it."""
    try:
        root = yaml.compose(Path(file).read_text(), yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError):
        # What rcl could read is not for this module to refuse.
        return []
    return list(_sections_below(root, ""))


def _sections_below(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if key.value == _KEY:
            yield prefix, value
        else:
            yield from _sections_below(value, f"{prefix}/{key.value}" if prefix else key.value)


def _values(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield name and value of the parameters at and below ``node``; nested names are joined."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _values(value, f"{prefix}.{key.value}" if prefix else key.value)
    elif isinstance(node, yaml.SequenceNode):
        yield prefix, [_scalar(item) for item in node.value if isinstance(item, yaml.ScalarNode)]
    elif isinstance(node, yaml.ScalarNode):
        yield prefix, _scalar(node)


def _scalar(node: yaml.ScalarNode) -> bool | int | float | str:
    """Return the value that rcl reads, whose rules are those of C and not of PyYAML."""
    text = node.value
    if node.style in ("'", '"'):
        return text
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        is_octal = re.match(r"[-+]?0\d", text)
        return int(text, 8 if is_octal else 0)
    if _NUMBER.fullmatch(text):
        return float(re.sub(r"\.(?=[ain])", "", text.lower()))
    return text


def _is_for(key: str, node_name: str) -> bool:
    """Whether rclpy gives what stands under ``key`` to ``node_name``."""
    pattern = re.escape(key if key.startswith("/") else f"/{key}")
    pattern = pattern.replace(r"/\*", r"(/\w+)").replace(r")\*", ")*")
    return bool(re.fullmatch(pattern, node_name))
