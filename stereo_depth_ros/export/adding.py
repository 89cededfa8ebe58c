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
from stereo_depth_ros.model_store import install
from stereo_depth_ros.published import Source, find_source


def add_model(
    name: str,
    file: Path | None = None,
    size: tuple[int, int] = (480, 640),
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
        Height and width of the images in px.
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
        if file is None and before.is_file():
            report(f"takes the weights of {before.parent}")
            shutil.copyfile(before, weights)
        else:
            _import(source, file, weights, report)
        changes = {} if iterations is None else {"iterations": iterations}
        network, info = load_weights(weights, **changes)
        height, width = size
        report(f"exports {network.name} {network.variant} for {height}x{width}, fp32 and mixed")
        publish(
            network,
            height,
            width,
            folder / f"{name}.onnx",
            precisions=("fp32", "mixed"),
            metadata=info.as_graph_metadata(),
            card={
                "summary": f"{network.name} {network.variant} for {width}x{height} images, of "
                f"{info.source} ({source.url})",
                "command": _command(name, size, iterations),
            },
        )
    return find_artifact(name)


def _import(
    source: Source, file: Path | None, weights: Path, report: Callable[[str], None]
) -> None:
    downloads = models_folder() / ".downloads"
    if file is None:
        if not source.hub:
            what = source.file or "its file"
            raise InputError(
                f"these weights cannot be fetched by a program; fetch {what} from {source.url} by "
                f"hand, then: stereo-depth models add {weights.stem} --file FILE"
            )
        report(f"fetches {source.file} from {source.url}")
        fetched = fetch(source, downloads)
    else:
        fetched = file
    report(f"imports {fetched.name}")
    info = import_weights(fetched, weights, source.network)
    for note in info.notes:
        report(f"note: {note}")
    if source.variant not in ("", info.variant):
        raise CheckpointError(
            f"{fetched} holds {info.network} {info.variant}, not {source.variant}; add it under "
            "its own name"
        )
    if file is None:
        fetched.unlink()


def _command(name: str, size: tuple[int, int], iterations: int | None) -> str:
    steps = "" if iterations is None else f" --iterations {iterations}"
    return f"stereo-depth models add {name} --size {size[0]}x{size[1]}{steps}"
