"""The static files that a graph for any size becomes before an engine is built of it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.engines.tensorrt.cache import STATIC
from stereo_depth_ros.engines.tensorrt.frozen import freeze
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.proof import beside


def make_static(path: Path, size: tuple[int, int] | None, engines: Path) -> Path:
    """Return a static graph of the one at ``path``: that itself, or one made for a size.

    Parameters
    ----------
    path
        Of the graph. What lies beside it in the other precision is made static too.
    size
        Height and width in px of the images, None for those that the graph is made for.
    engines
        The folder of the engines, where the files are kept.

    Returns
    -------
    Path
        With the name of the graph, and beside it what belongs to it.

    Raises
    ------
    EngineError
        When it cannot be read or made static.
    OSError
        When it cannot be written.
    """
    graph = read_graph(path)
    if graph.sizes is None:
        return path
    height, width = graph.sizes.cover(*(size or graph.sizes.size))
    graphs = {g.path.name: g for p in ("fp32", "mixed") if (g := beside(graph, p)) is not None}
    digest = hashlib.sha256("".join(g.sha256 for g in graphs.values()).encode()).hexdigest()
    folder = engines / STATIC / f"{path.stem}_{digest[:12]}_{height}x{width}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, given in graphs.items():
        if not (folder / name).is_file():
            write_bytes(folder / name, freeze(given.path.read_bytes(), height, width))
    reference = locate_reference(path)
    if (height, width) == graph.sizes.size and reference.is_file():
        shutil.copyfile(reference, folder / reference.name)
    return folder / path.name
