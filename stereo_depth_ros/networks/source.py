"""Where a network's published weights are, and their licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One published checkpoint.

    ``hub`` is the Hugging Face repository that holds ``file``, empty where it lies elsewhere and
    ``url`` is the page to fetch it from by hand. ``size`` is in bytes, to about 1 %; ``sha256`` the
    hash of the file, or the start of it.
    """

    file: str
    url: str
    licence: str
    commercial: bool
    size: int | None = None
    sha256: str = ""
    hub: str = ""

    def is_of(self, sha256: str) -> bool:
        """Return whether a file of that hash is known to be this one."""
        return bool(self.sha256) and sha256.startswith(self.sha256)
