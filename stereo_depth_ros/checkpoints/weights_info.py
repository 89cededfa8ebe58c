"""What a file of imported weights says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stereo_depth_ros.excerpt import excerpt

_MAX_TEXT = 500  # letters


@dataclass(frozen=True)
class WeightsInfo:
    """What imported weights say of themselves.

    Attributes
    ----------
    network, variant
        As `list_networks` returns them.
    config
        The other arguments of `create_network`.
    licence, commercial
        Of the weights, and whether it allows commercial use.
    source, sha256
        Name and hash of the file they came from.
    notes
        What had to be assumed, for people.
    """

    network: str
    variant: str
    config: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    commercial: bool = True
    source: str = ""
    sha256: str = ""
    notes: tuple[str, ...] = ()

    def as_metadata(self) -> dict[str, str]:
        """Write it down as a file carries it.

        Returns
        -------
        dict
            Strings alone, which `from_metadata` reads.
        """
        return {
            "network": self.network,
            "variant": self.variant,
            "config": json.dumps(self.config),
            "licence": self.licence,
            "commercial": "true" if self.commercial else "false",
            "source": self.source,
            "sha256": self.sha256,
            "notes": json.dumps(self.notes),
        }

    def as_graph_metadata(self) -> dict[str, str]:
        """Return what a graph of these weights says of them."""
        metadata = {"licence": self.licence, "commercial": "true" if self.commercial else "false"}
        return metadata | ({"weights_sha256": self.sha256} if self.sha256 else {})

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> WeightsInfo:
        """Read what `as_metadata` wrote.

        Parameters
        ----------
        metadata
            Of a .safetensors file.

        Returns
        -------
        WeightsInfo
            Texts of a file's own shortened.

        Raises
        ------
        KeyError, ValueError
            When `as_metadata` did not write this.
        """
        return cls(
            metadata["network"],
            metadata["variant"],
            dict(json.loads(metadata["config"])),
            excerpt(metadata["licence"], _MAX_TEXT),
            {"true": True, "false": False}[metadata["commercial"]],
            excerpt(metadata["source"], _MAX_TEXT),
            excerpt(metadata["sha256"], _MAX_TEXT),
            tuple(excerpt(note, _MAX_TEXT) for note in json.loads(metadata["notes"])),
        )
