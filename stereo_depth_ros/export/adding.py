"""From the name of published weights to an installed model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from stereo_depth_ros.artifact import Artifact, find_artifact, models_folder
from stereo_depth_ros.checkpoints import CheckpointError, import_weights, load_weights
from stereo_depth_ros.checkpoints.hub import fetch
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.publication import publish
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.model_store import install
from stereo_depth_ros.published import Source, find_source


def add_model(
    name: str,
    file: Path | None = None,
    size: tuple[int, int] | None = None,
    iterations: int | None = None,
    report: Callable[[str], None] = lambda step: None,
) -> Artifact:
    """Fetch, import, export and install published weights.

    Parameters
    ----------
    name
        Of `stereo_depth_ros.published.PUBLISHED`.
    file
        The authors' checkpoint, where the user has it; None fetches it, or takes what the model
        was made of that is installed under this name.
    size
        Height and width of the images in px; None is any size where the network allows it, and
        `stereo_depth_ros.graph_contract.USUAL_SIZE` where it does not.
    iterations
        Of the refinement, where the network has any; None takes what it was published with.
    report
        Is given every step in words.

    Raises
    ------
    CheckpointError
        When the weights cannot be fetched, or are damaged or of another network.
    InputError
        For an unknown name, a network that does not refine, or graphs that disagree with it.
    WriteError
        When the folder of models cannot be written to, or the disk is full.
    """
    source = find_source(name)
    with install(name) as folder:
        weights = folder / f"{name}.safetensors"
        before = models_folder() / name / weights.name
        fetched = None
        if file is None and before.is_file():
            report(f"takes the weights of {before.parent}")
            shutil.copyfile(before, weights)
        else:
            if file is None:
                file = fetched = _fetch(name, source, report)
            _import(source, file, weights, report)
        changes = {} if iterations is None else {"iterations": iterations}
        network, info = load_weights(weights, **changes)
        any_size = size is None and network.any_size
        height, width = size or USUAL_SIZE
        images = "images of any size" if any_size else f"{width}x{height} images"
        report(f"exports {network.name} {network.variant} for {images}, in fp32 and mixed")
        publish(
            network,
            height,
            width,
            folder / f"{name}.onnx",
            any_size=any_size,
            precisions=("fp32", "mixed"),
            metadata=info.as_graph_metadata(),
            card={
                "summary": f"{network.name} {network.variant} for {images}, of "
                f"{info.source} ({source.url})",
                "command": _command(name, size, iterations),
            },
        )
    if fetched is not None:
        fetched.unlink()  # not before: what went wrong may be mended without fetching again
    return find_artifact(name)


def _fetch(name: str, source: Source, report: Callable[[str], None]) -> Path:
    if not source.hub:
        raise InputError(
            f"these weights cannot be fetched by a program; fetch {source.file or 'their file'} "
            f"from {source.url} by hand, then: stereo-depth models add {name} --file FILE"
        )
    report(f"fetches {source.file} from {source.url}")
    return fetch(source, models_folder() / ".downloads")


def _import(source: Source, file: Path, weights: Path, report: Callable[[str], None]) -> None:
    report(f"imports {file.name}")
    info = import_weights(file, weights, source.network, source.config)
    for note in info.notes:
        report(f"note: {note}")
    if source.variant not in ("", info.variant):
        raise CheckpointError(
            f"{file} holds {info.network} {info.variant}, not {source.variant}; add it under "
            "its own name"
        )


def _command(name: str, size: tuple[int, int] | None, iterations: int | None) -> str:
    sides = "" if size is None else f" --size {size[0]}x{size[1]}"
    steps = "" if iterations is None else f" --iterations {iterations}"
    return f"stereo-depth models add {name}{sides}{steps}"
