"""Another node of the same full name, which takes this one's services and parameters."""

from __future__ import annotations

from collections.abc import Iterable

_PATIENCE_S = 30.0
"""Longer than the graph remembers a process that was killed."""


class NameWatch:
    """Counts the nodes that have the full name ``name``."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._since: float | None = None
        self._is_reported = False

    def check(self, names: Iterable[tuple[str, str]], now: float) -> str | None:
        """Return a warning, once, when another node has had the name for half a minute.

        ``names`` are the (name, namespace) of all nodes in the graph, ``now`` is a time in s.
        """
        own = sum(f"{space.rstrip('/')}/{name}" == self._name for name, space in names)
        if own < 2:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if self._is_reported or now - self._since < _PATIENCE_S:
            return None
        self._is_reported = True
        return (
            f"{own} nodes have the name {self._name}, so that requests and parameters reach any of "
            "them; give each a namespace:= of its own"
        )
