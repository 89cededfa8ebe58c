"""Weights that this package can use: a .safetensors file that says which network they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from stereo_depth_ros.atomic_file import write_aside
from stereo_depth_ros.checkpoints import fast_foundation_stereo
from stereo_depth_ros.checkpoints.detection import (
    blueprint,
    build,
    identify,
    mismatch,
    recognise,
)
from stereo_depth_ros.checkpoints.error import CheckpointError, errors_about
from stereo_depth_ros.checkpoints.module_tree import check_attributes
from stereo_depth_ros.checkpoints.reading import WeightsFile, read_weights_file, shapes_of
from stereo_depth_ros.checkpoints.weights_info import WeightsInfo
from stereo_depth_ros.networks import StereoNetwork
from stereo_depth_ros.published import Source, list_sources

_MAX_PREFIXES = 3
_COUNTER = ".num_batches_tracked"  # of a batch norm in training


def import_weights(
    path: Path,
    output: Path,
    network: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> WeightsInfo:
    """Check a checkpoint entry by entry and write it as .safetensors.

    Parameters
    ----------
    path
        The authors' file.
    output
        Where to write, a .safetensors.
    network
        The only one to look for; None looks for all.
    config
        Arguments that build the network, for what a file does not tell ("structure.normalise" is an
        entry of the argument "structure").

    Returns
    -------
    WeightsInfo
        What the written file says of itself.

    Raises
    ------
    CheckpointError
        When the file is damaged, of no known network, or does not fit the network it is of.
    WriteError
        When ``output`` cannot be written.
    """
    path, output = Path(path), Path(output)
    if output.suffix != ".safetensors":
        raise CheckpointError(f"{output}: imported weights are written as .safetensors; name it so")
    file = read_weights_file(path)
    with errors_about(path):
        file = _without_unknown_prefix(file, network)
        info = _info_of(file, network, config or {})
        entries = _check_entries(file, info)
        rounding = _notes_on_rounding(entries)
        others = (note for note in info.notes if note not in rounding)
        info = replace(info, notes=(*others, *rounding))
    save_weights(output, entries, info)
    return info


def save_weights(path: Path, entries: Mapping[str, Tensor], info: WeightsInfo) -> None:
    """Write a state dict with what is known of it; `load_weights` reads it back.

    Parameters
    ----------
    path
        Where to write.
    entries
        The state dict, tensors on any device.
    info
        What is known of it.

    Raises
    ------
    WriteError
        When ``path`` cannot be written.
    """
    # Authors' files share memory between entries, which .safetensors do not.
    separate = {key: value.detach().cpu().clone().contiguous() for key, value in entries.items()}
    with write_aside(Path(path)) as aside:
        try:
            save_file(separate, str(aside), metadata=info.as_metadata())
        except SafetensorError as error:
            raise OSError(str(error)) from error


def read_info(path: Path) -> WeightsInfo:
    """Read what imported weights say of themselves.

    Parameters
    ----------
    path
        Of a file that `import_weights` or `save_weights` wrote.

    Returns
    -------
    WeightsInfo
        As it was written.

    Raises
    ------
    CheckpointError
        When the file is damaged or was not imported.
    """
    with errors_about(path):
        return _read_import(read_weights_file(path))


def load_weights(path: Path, **changes: Any) -> tuple[StereoNetwork, WeightsInfo]:
    """Build the network of imported weights.

    Parameters
    ----------
    path
        Of a file that `import_weights` or `save_weights` wrote.
    **changes
        Fields of the network's config that no weight depends on (``iterations``,
        ``max_disparity``), where they are to be others than the file names.

    Returns
    -------
    tuple of StereoNetwork and WeightsInfo
        The network, loaded and in evaluation mode, and what its weights say of themselves.

    Raises
    ------
    CheckpointError
        When the file is damaged, was not imported, or does not fit its network.
    """
    file = read_weights_file(path)
    with errors_about(path):
        info = _read_import(file)
        network = build(info.network, {"variant": info.variant, **info.config, **changes})
        if wrong := mismatch(shapes_of(network.state_dict()), file.shapes):
            raise CheckpointError(
                f"does not fit {info.network} {info.variant}: entries are {wrong}; import the "
                f"authors' file ({info.source}) again"
            )
    network.load_state_dict(file.entries)
    return network.eval(), info


def _overridden(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` with ``changes``, as it will be read back from a file."""
    changed = json.loads(json.dumps(config))
    for path, value in changes.items():
        *parents, key = path.split(".")
        inner = changed
        for parent in parents:
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise CheckpointError(f"setting '{path}': '{parent}' has no entries to set")
        inner[key] = value
    return changed


def _read_import(file: WeightsFile) -> WeightsInfo:
    try:
        return WeightsInfo.from_metadata(file.metadata)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            "does not say which network it is of; turn it into a file that does with "
            f"'stereo-depth import {file.path} -o OUT.safetensors'"
        ) from error


def _without_unknown_prefix(file: WeightsFile, network: str | None) -> WeightsFile:
    """Return the file without what a wrapper of any name put before most of its keys."""
    stripped: WeightsFile | None = file
    for _ in range(_MAX_PREFIXES):
        if stripped is None or "network" in file.metadata or recognise(stripped.shapes, network):
            break
        stripped = stripped.without_prefix()
    return stripped if stripped and recognise(stripped.shapes, network) else file


def _info_of(file: WeightsFile, network: str | None, config: Mapping[str, Any]) -> WeightsInfo:
    """Return what an authors' file is, or what an imported one says, but for ``config``."""
    if "network" in file.metadata:
        info = _read_import(file)
        if network not in (None, info.network):
            raise CheckpointError(f"holds weights of {info.network}, not of {network}")
        return replace(info, config=_overridden(info.config, config))
    name, arguments = identify(file.shapes, network)
    notes: tuple[str, ...] = ()
    if name == fast_foundation_stereo.NAME:
        arguments, notes = fast_foundation_stereo.complete(arguments, file, config)
    variant = arguments.pop("variant")
    arguments = _overridden(arguments, config)
    source, doubt = _source(name, variant, file.sha256)
    return WeightsInfo(
        name,
        variant,
        arguments,
        source.licence,
        source.commercial,
        file.path.name,
        file.sha256,
        (*file.notes, *notes, *doubt),
    )


def _source(network: str, variant: str, sha256: str) -> tuple[Source, tuple[str, ...]]:
    """Return where a file came from, going by its hash or else its variant, and any doubt."""
    sources = list_sources(network)
    for source in sources:
        if source.is_of(sha256):
            return source, ()
    same = [source for source in sources if source.variant == variant]
    if not same:
        strictest = min(sources, key=lambda source: source.commercial)
        return strictest, ("which published file it is cannot be told: the strictest terms hold",)
    source = same[0]
    doubt = ("it is not the published file that is known here, or a newer one",)
    return source, doubt if source.sha256 else ()


def _check_entries(file: WeightsFile, info: WeightsInfo) -> dict[str, Tensor]:
    """Return the entries that the network has."""
    made = blueprint(info.network, {"variant": info.variant, **info.config})
    expected = made.state_dict()
    entries = made.own_entries(file.entries)
    entries = {
        **{key: torch.zeros((), dtype=torch.int64) for key in expected if key.endswith(_COUNTER)},
        **{k: v for k, v in entries.items() if k in expected or not k.endswith(_COUNTER)},
    }
    if wrong := mismatch(shapes_of(expected), shapes_of(entries)):
        raise CheckpointError(
            f"looks like {info.network} {info.variant}, but entries are {wrong}. It is altered, "
            "mixed or of another release; fetch the file again from its authors"
        )
    if file.attributes:
        check_attributes(made, file.attributes)
    for key, value in entries.items():
        floating = expected[key].is_floating_point()
        if value.is_floating_point() != floating or value.is_complex():
            kind = "of floats" if floating else "whole numbers"
            raise CheckpointError(f"'{key}' is {value.dtype}, but must be {kind}")
        # Not every torch tests the narrowest floats themselves.
        if floating and not value.to(expected[key].dtype).isfinite().all():
            raise CheckpointError(f"'{key}' holds infinities or NaN; fetch the file again")
    return entries


def _notes_on_rounding(entries: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Say which floats are narrower than the float32 of every network."""
    dtypes = {value.dtype for value in entries.values() if value.is_floating_point()}
    narrow = sorted(str(t).removeprefix("torch.") for t in dtypes if torch.finfo(t).bits < 32)
    if not narrow:
        return ()
    return (
        f"its weights are rounded to {' and '.join(narrow)}, not the float32 that networks are "
        "published in: answers differ from those of the authors' file",
    )
