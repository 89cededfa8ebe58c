"""Get at the state dict of a weights file, whichever way its authors wrapped it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import Parameter

from stereo_depth_ros.checkpoints.error import CheckpointError, errors_about
from stereo_depth_ros.checkpoints.module_tree import (
    WRAPPERS,
    attributes_of,
    network_of,
    state_dict_of,
)
from stereo_depth_ros.checkpoints.pickled import StandIn, load_pickled
from stereo_depth_ros.file_hash import sha256_of

_HOLDERS = ("model", "state_dict")  # entries of a file that hold the state dict
_DEEPEST = 4  # of these one in another
# Entries may share memory in a file, so that together they are more than it.
_LARGEST_SHARE = 8
_PREFIXES = tuple(f"{name}." for name in WRAPPERS)


@dataclass(frozen=True)
class WeightsFile:
    """A file's ``entries`` by state-dict key, prefixes stripped.

    ``attributes`` are those of every module by its path, where the file holds a whole pickled
    one; ``metadata`` what a .safetensors file says of itself.
    """

    path: Path
    sha256: str
    entries: dict[str, Tensor]
    attributes: dict[str, dict[str, Any]] | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The entries' shapes."""
        return shapes_of(self.entries)


def shapes_of(entries: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state dict's entries."""
    return {key: tuple(value.shape) for key, value in entries.items()}


def read_weights_file(path: Path) -> WeightsFile:
    """Read a `torch.save` zip or a .safetensors file; nothing in it is executed.

    Raises
    ------
    CheckpointError
        For a file that is neither, is damaged, or holds no state dict.
    """
    path = Path(path)
    digest = sha256_of(path)
    with path.open("rb") as file:
        head = file.read(64)
    attributes: dict[str, dict[str, Any]] | None = None
    metadata: dict[str, str] = {}
    with errors_about(path):
        if head.startswith(b"PK\x03\x04"):
            try:
                entries, attributes = _unwrapped(load_pickled(path))
            except (AttributeError, TypeError) as error:
                raise CheckpointError(
                    f"holds objects that are not what they claim to be ({error}); do not trust "
                    "this file, and fetch the weights from their authors"
                ) from error
        elif head[8:9] == b"{":
            entries, metadata = _load_safetensors(path)
        else:
            raise CheckpointError(_what_else(head))
        if not entries:
            raise CheckpointError("holds no weights; fetch it again, or save them anew")
        _check_tensors(entries, path.stat().st_size)
    return WeightsFile(path, digest, _without_prefixes(entries), attributes, metadata)


def _check_tensors(entries: dict[str, Tensor], file_size: int) -> None:
    """Refuse what is no array of numbers in memory, before anything computes with it."""
    for key, value in entries.items():
        if (
            type(value) not in (Tensor, Parameter)
            or value.layout is not torch.strided
            or value.device.type != "cpu"
            or value.is_quantized
            or value.is_nested
        ):
            raise CheckpointError(
                f"'{key}' is no plain tensor in memory; save the state dict of the network on the "
                "CPU, not quantised"
            )
    size = sum(value.nbytes for value in entries.values())
    if size > _LARGEST_SHARE * file_size:
        raise CheckpointError(
            f"claims {size} bytes of weights in a file of {file_size}; do not trust it, and fetch "
            "the weights from their authors"
        )


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            keys = file.keys()  # iterating over the file itself is newer than safetensors 0.4
            return {key: file.get_tensor(key) for key in keys}, file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(
            f"is not a whole .safetensors file ({error}); fetch it again"
        ) from error


def _what_else(head: bytes) -> str:
    if not head:
        return "is empty; fetch it again"
    if head.lstrip().startswith(b"<"):
        return "is a web page, not weights; open its link in a browser and save the file itself"
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not weights; run 'git lfs pull' where it came from"
    if head.startswith((b"\x80", b"\x1f\x8b")):
        return (
            "is a bare pickle or an archive, not a torch.save file, and is not opened; unpack it, "
            "or save it again with torch.save of torch 1.6 or newer"
        )
    return "is neither a torch.save file nor .safetensors; see stereo-depth import --help"


def _unwrapped(content: Any) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]] | None]:
    """Return the state dict and, where it comes from a pickled module, the attributes of that."""
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
        inner = next((content[key] for key in _HOLDERS if key in content), None)
        if not isinstance(inner, (Mapping, StandIn)):
            break
        content = inner
    if isinstance(content, StandIn):
        network = network_of(content)
        return state_dict_of(network), attributes_of(network)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"holds a {type(content).__name__}, not a state dict; save model.state_dict()"
        )
    odd = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(
            f"holds no state dict ('{odd[0]}' is no tensor); one is looked for under "
            f"{' and '.join(_HOLDERS)}, and at the top"
        )
    return {str(key): value for key, value in content.items()}, None


def _without_prefixes(entries: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((p for p in _PREFIXES if all(k.startswith(p) for k in entries)), ""):
        entries = {key.removeprefix(prefix): value for key, value in entries.items()}
    return entries
