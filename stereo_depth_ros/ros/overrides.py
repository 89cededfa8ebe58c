"""Parameters that a user gave to the process and that reach nothing: named instead of ignored."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.excerpt import excerpt

_KEY = "ros__parameters"


def unused_files(arguments: Sequence[str], node_name: str) -> list[str]:
    """Return one line for each --params-file in ``arguments`` that has no key for ``node_name``.

    ``node_name`` is the full one.
    """
    files = [value for option, value in pairwise(arguments) if option == "--params-file"]
    lines = []
    for file in files:
        keys = _keys_of(file)
        if keys and not any(_is_for(key, node_name) for key in keys):
            lines.append(
                f"{file} sets nothing here, as none of its keys ({excerpt(', '.join(keys))}) "
                f"is the name of this node; write '/**:' or '{node_name}:'"
            )
    return lines


def unknown_names(given: Iterable[str], known: Collection[str]) -> tuple[list[str], list[str]]:
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


def _keys_of(file: str) -> list[str]:
    try:
        return list(_node_keys(yaml.safe_load(Path(file).read_text()), ""))
    except (OSError, ValueError, yaml.YAMLError):
        # What rcl could read is not for this module to refuse.
        return []


def _node_keys(content: Any, prefix: str) -> Iterator[str]:
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key == _KEY:
            yield prefix
        else:
            yield from _node_keys(value, f"{prefix}/{key}" if prefix else str(key))


def _is_for(key: str, node_name: str) -> bool:
    """Whether rclpy gives what stands under ``key`` to ``node_name``."""
    pattern = re.escape(key if key.startswith("/") else f"/{key}")
    pattern = pattern.replace(r"/\*", r"(/\w+)").replace(r")\*", ")*")
    return bool(re.fullmatch(pattern, node_name))
