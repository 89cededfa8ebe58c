"""Get at the state dict of a weights file, whichever way its authors wrapped it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import Parameter

from stereo_depth_ros.checkpoints.container import unwrap
from stereo_depth_ros.checkpoints.error import CheckpointError, errors_about
from stereo_depth_ros.checkpoints.module_tree import (
    WRAPPERS,
    attributes_of,
    network_of,
    state_dict_of,
)
from stereo_depth_ros.checkpoints.pickled import StandIn, load_pickled
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.file_hash import sha256_of

_HOLDERS = (("model",), ("state_dict",))  # where it is, if a file holds several state dicts
_SHOWN = 5  # of these in an error
_DEEPEST = 4  # mappings in one another
# What profilers, averaging and training loops leave among the weights.
_NOT_WEIGHTS = re.compile(
    r"(.*\.)?(total_ops|total_params|n_averaged|num_updates)|(global_)?step|epoch|iter(ations?)?"
)
# Entries may share memory in a file, so that together they are more than it.
_LARGEST_SHARE = 8
_MAX_WRAPPERS = 9  # around one another


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights holds.

    Attributes
    ----------
    path, sha256
        The file and its hash.
    entries
        By state-dict key, prefixes stripped.
    attributes
        Those of every module by its path, where the file holds a whole pickled one.
    metadata
        What a .safetensors file says of itself.
    notes
        What of the file was taken, where it holds more, for people.
    """

    path: Path
    sha256: str
    entries: dict[str, Tensor]
    attributes: dict[str, dict[str, Any]] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The entries' shapes."""
        return shapes_of(self.entries)

    def without_prefix(self, names: Collection[str] | None = None) -> WeightsFile | None:
        """Strip the first part of the names that most entries share.

        The attributes lose it too: those of the module of that name become the root's, and what
        is said of the module around it goes.

        Parameters
        ----------
        names
            The only parts to strip; None strips any.

        Returns
        -------
        WeightsFile or None
            None without such a part, or with one that is not in ``names``.
        """
        ((first, _),) = Counter(key.split(".")[0] for key in self.entries).most_common(1)
        if names is not None and first not in names:
            return None
        entries = _strip(self.entries, f"{first}.")
        if entries is None:
            return None
        attributes = self.attributes and {
            "" if path == first else path.removeprefix(f"{first}."): values
            for path, values in self.attributes.items()
            if path.split(".")[0] == first
        }
        return replace(self, entries=entries, attributes=attributes)


def shapes_of(entries: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a state dict's entries."""
    return {key: tuple(value.shape) for key, value in entries.items()}


def read_weights_file(path: Path) -> WeightsFile:
    """Read a `torch.save` zip or a .safetensors file; nothing in it is executed.

    Parameters
    ----------
    path
        The file, or an archive around it.

    Returns
    -------
    WeightsFile
        Of one state dict.

    Raises
    ------
    CheckpointError
        For a file that is neither, is damaged, or holds no state dict.
    """
    path = Path(path)
    attributes: dict[str, dict[str, Any]] | None = None
    metadata: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    with errors_about(path), unwrap(path) as inner:
        digest = sha256_of(inner)
        with inner.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"PK\x03\x04"):
            try:
                state, notes = _choose(load_pickled(inner))
                entries, attributes = _entries_of(state)
            except (AttributeError, TypeError) as error:
                raise CheckpointError(
                    f"holds objects that are not what they claim to be ({error}); do not trust "
                    "this file, and fetch the weights from their authors"
                ) from error
        elif head[8:9] == b"{":
            entries, metadata = _load_safetensors(inner)
        else:
            raise CheckpointError(_what_else(head))
        entries = {key: v for key, v in entries.items() if not _NOT_WEIGHTS.fullmatch(key)}
        if not entries:
            raise CheckpointError("holds no weights; fetch it again, or save them anew")
        _check_tensors(entries, inner.stat().st_size)
    return _without_wrappers(WeightsFile(path, digest, entries, attributes, metadata, notes))


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
                f"'{excerpt(key, 80)}' is no plain tensor in memory; save the state dict of the "
                "network on the CPU, not quantised"
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


def _entries_of(state: Any) -> tuple[dict[str, Tensor], dict[str, dict[str, Any]] | None]:
    """Return a state dict and, where it comes from a pickled module, the attributes of that."""
    if isinstance(state, StandIn):
        network = network_of(state)
        return state_dict_of(network), attributes_of(network)
    if not isinstance(state, Mapping):
        raise CheckpointError(
            f"holds a {type(state).__name__}, not a state dict; save model.state_dict()"
        )
    return {str(key): value for key, value in state.items() if isinstance(value, Tensor)}, None


def _choose(content: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the state dict or module in ``content`` that is meant, and notes on the others."""
    if not isinstance(content, Mapping):
        return content, ()
    states = dict(_list_states(content, (), set()))
    if not states:
        raise CheckpointError("holds no weights by name; save model.state_dict()")
    sizes = {path: len(_tensors_of(state)) for path, state in states.items()}
    # A few tensors beside the weights are not meant.
    large = [path for path in states if 2 * sizes[path] >= max(sizes.values())]
    if len(large) > 1:
        depth = min(map(len, large))
        large = [path for path in large if len(path) == depth and path[-1:] in _HOLDERS]
    several = f"holds several state dicts ({_list_some(states)})"
    if len(large) != 1:
        raise CheckpointError(f"{several}; save the one that is meant")
    (path,) = large
    notes = (f"it {several}, of which '{_name(path)}' was taken",)
    return states[path], notes if len(states) > 1 else ()


def _name(path: tuple[str, ...]) -> str:
    return excerpt(".".join(path) or "the top", 80)


def _list_some(paths: Collection[tuple[str, ...]]) -> str:
    some = [_name(path) for path in paths][:_SHOWN]
    return ", ".join(some) + (", …" if len(paths) > _SHOWN else "")


def _list_states(
    content: Mapping[Any, Any], path: tuple[str, ...], visited: set[int]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every mapping of names to tensors and every pickled module once, by its keys."""
    visited.add(id(content))
    if any(isinstance(value, Tensor) for value in content.values()):
        yield path, content
    for key, value in content.items():
        # An optimiser's state is by number.
        if not isinstance(key, str) or len(path) == _DEEPEST or id(value) in visited:
            continue
        if isinstance(value, Mapping):
            yield from _list_states(value, (*path, key), visited)
        elif isinstance(value, StandIn) and "_modules" in value.state:
            yield (*path, key), value


def _tensors_of(state: Any) -> Mapping[Any, Any]:
    entries = state_dict_of(state) if isinstance(state, StandIn) else state
    return {key: value for key, value in entries.items() if isinstance(value, Tensor)}


def _without_wrappers(file: WeightsFile) -> WeightsFile:
    for _ in range(_MAX_WRAPPERS):
        file = file.without_prefix(WRAPPERS) or file
    return file


def _strip(entries: dict[str, Tensor], prefix: str) -> dict[str, Tensor] | None:
    """Return the entries without ``prefix``, which most must have; None where they have not."""
    stripped = {key.removeprefix(prefix): value for key, value in entries.items()}
    count = sum(key.startswith(prefix) for key in entries)
    return stripped if 2 * count > len(entries) == len(stripped) else None
