"""Fast-FoundationStereo's files: whole modules, whose structure is not in the shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.checkpoints.reading import WeightsFile
from stereo_depth_ros.networks.fast_foundation_stereo.reading import from_shapes
from stereo_depth_ros.published import list_sources

NAME = "fast_foundation_stereo"
_MAX_DISPARITY = 1024  # px; the authors train at 192 to 416


def complete(
    arguments: Mapping[str, Any], file: WeightsFile, told: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments of ``create`` with the structure that ``file`` tells, and notes.

    ``told`` is what the user says of it, by path.
    """
    attributes = file.attributes or {}
    try:
        structure = asdict(from_shapes(file.shapes, attributes))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"looks like {NAME}, but its structure cannot be read ({error}); import the authors' "
            "whole module, which tells it"
        ) from error
    notes = []
    arguments = dict(arguments)
    if "max_disparity" not in told:
        searched = attributes.get("", {}).get("max_disp")
        if type(searched) is int and 0 < searched <= _MAX_DISPARITY and searched % 32 == 0:
            arguments["max_disparity"] = searched
            notes.append(f"max_disparity is {searched} px, as the module says")
        else:
            notes.append(
                "it does not say how far it searches; 192 px are taken, as its authors do. For one "
                "that was trained otherwise import it with --set max_disparity=N"
            )
    if not attributes:
        notes.append(
            "this is not the authors' whole module, so strides, activations and heads are taken "
            "to be those of the released network"
        )
    published = next((s for s in list_sources(NAME) if s.is_of(file.sha256)), None)
    if published is not None:
        structure["normalise"] = published.config["structure.normalise"]
    elif attributes.get("", {}).get("normalize") is None and "structure.normalise" not in told:
        notes.append(
            "it does not say whether its features are normalised; taken as true, which 23-36-37 "
            "and the commercial file need. For 20-26-39 and 20-30-48 import it with "
            "--set structure.normalise=false"
        )
    return {**arguments, "structure": structure}, tuple(notes)
