"""From a network to a model that runs: graphs that agree with it, their reference, their card."""

from __future__ import annotations

import copy
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from stereo_depth_ros.artifact import (
    Artifact,
    find_artifact,
    locate_card,
    locate_graph,
    locate_reference,
)
from stereo_depth_ros.atomic_file import WriteError, scratch_folder, write_bytes
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.graph import Graph, read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    Reference,
    reference_of,
    render_test_pair,
)
from stereo_depth_ros.engines.tensorrt.verdict import add_noise
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.agreement import Agreement, Prior, compare, outputs_of
from stereo_depth_ros.export.exporter import describe, finish, fold
from stereo_depth_ros.export.static_forms import check_sizes
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.model_card import ModelCard, ModelError, read_card, write_card
from stereo_depth_ros.networks.base import StereoNetwork

# Differences from PyTorch in float32.
MAX_MEDIAN_PX = 0.1
MAX_CONFIDENCE = 0.01  # on average


@dataclass(frozen=True)
class Publication:
    """A published model, and how well the graph of each precision agrees with its network."""

    artifact: Artifact
    agreements: dict[str, Agreement]


def publish(
    network: StereoNetwork,
    height: int,
    width: int,
    path: Path,
    *,
    any_size: bool = False,
    precisions: Sequence[str] = ("fp32",),
    metadata: Mapping[str, str] | None = None,
    card: Mapping[str, Any] | None = None,
    report: Callable[[str], None] = lambda step: None,
) -> Publication:
    """Make ``network`` a model that runs: graphs that agree with it, their reference, their card.

    The graphs are compared with the network on a rendered pair, which with PyTorch's outputs
    becomes NAME.reference.npz; a network that takes a prior once more with what SGBM finds for that
    pair, the reference being without it, as TensorRT runs; one for any size on a second pair, of
    another size. Where anything fails, all files stay as they were.

    Parameters
    ----------
    network
        In evaluation mode, with its weights.
    height, width
        Of the images, in px.
    any_size
        That is but the size which the graphs are made for, and they take others.
    path
        Of the graph, NAME.onnx. Of two precisions it is that in fp32, and NAME.mixed.onnx lies
        beside it.
    precisions
        Of "fp32" and "mixed".
    metadata
        See `stereo_depth_ros.export.exporter.export_onnx`.
    card
        What NAME.yaml says beside what the graphs say; where it is already that of the same
        network, weights and size, it keeps its other keys.
    report
        Is given every step in words.

    Raises
    ------
    GraphError
        When a graph breaks the contract, or holds what TensorRT mishandles.
    InputError
        When a graph and PyTorch disagree, or for ``any_size`` of a network that is for one alone.
    OSError
        When the disk is full, or ``path`` is a folder or cannot be written.
    ValueError
        For an unknown precision.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise WriteError(f"{path} is a folder; name the file in it, such as {path}/net.onnx")
    check_beside(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_space(network, path, target.parent)
    agreements, files = {}, {}
    with scratch_folder(target.parent) as folder:
        report(f"tracing {network.name}")
        folded = fold(network, height, width, folder, any_size)
        facts = {**describe(network, height, width, any_size), **(metadata or {})}
        sizes = AnySize.read(facts)
        report("running PyTorch on the test pair")
        test_pairs = [
            _TestPair(network, *render_test_pair(*size))
            for size in ([(height, width)] if sizes is None else check_sizes(sizes))
        ]
        for precision in precisions:
            final = target if len(precisions) == 1 else locate_graph(target, precision)
            graph = folder / final.name
            model = finish(copy.deepcopy(folded), network, precision, facts)
            write_bytes(graph, model.SerializeToString())
            report(f"comparing the {precision} graph with PyTorch")
            agreements[precision] = _find_worst([pair.compare(graph) for pair in test_pairs])
            _check_agreement(agreements[precision], path)
            files[precision] = graph
        made = read_graph(files.get("fp32", graph))
        test_pairs[0].make_reference(made).save(locate_reference(made.path))
        card_path = locate_card(target)
        known = {**_read_same_card(card_path, made), **(card or {})}
        write_card(folder / card_path.name, replace(_make_card(made, target), **known))
        # A reference of another graph than the one beside it is made anew; a graph needs its own.
        for file in (locate_reference(made.path), *files.values(), folder / card_path.name):
            file.replace(target.with_name(file.name))
    return Publication(find_artifact(str(card_path)), agreements)


def check_beside(graph: Path) -> None:
    """Check, before the work, that card and reference of ``graph`` replace nothing else.

    Raises
    ------
    WriteError
        Where a file of either's name is of another kind.
    """
    card, reference = locate_card(graph), locate_reference(graph)
    try:
        if card.exists():
            read_card(card)
    except ModelError as error:
        raise WriteError(
            f"{card} is not a model card, and would be overwritten by that of {graph.name}; give "
            "the graph another name"
        ) from error
    if reference.exists() and not zipfile.is_zipfile(reference):
        raise WriteError(
            f"{reference} is not a reference, and would be overwritten by that of {graph.name}; "
            "give the graph another name"
        )


class _TestPair:
    """A rendered pair and what ``network`` answers to it, with and without a prior."""

    def __init__(self, network: StereoNetwork, left: np.ndarray, right: np.ndarray) -> None:
        self._images = left, right
        self._expected = outputs_of(network, left, right)
        self._noisy = outputs_of(network, add_noise(left), add_noise(right))
        self._prior: Prior = ()
        if network.takes_prior:
            self._prior = find_prior(
                SgbmEngine(), left, right, network.max_disparity or left.shape[1]
            )
            self._guided = outputs_of(network, left, right, self._prior)

    def compare(self, graph: Path) -> Agreement:
        agreements = [compare(graph, *self._images, self._expected)]
        if self._prior:
            agreements.append(compare(graph, *self._images, self._guided, self._prior))
        return _find_worst(agreements)

    def make_reference(self, graph: Graph) -> Reference:
        return reference_of(graph, self._images, self._expected, self._noisy, "PyTorch in float32")


def _find_worst(agreements: Sequence[Agreement]) -> Agreement:
    # NaN must not lose against a number.
    return Agreement(*np.max(agreements, axis=0).tolist())


def _make_card(made: Graph, target: Path) -> ModelCard:
    """Return what ``made``, soon to lie beside ``target``, says of itself."""
    metadata = made.metadata
    file = made.path
    beside = locate_graph(target, "fp32")
    # The card names the graph in fp32 where there is one, as ONNX Runtime is faster with that.
    if made.precision != "fp32" and beside != target and _is_same(beside, made):
        file = beside
    return ModelCard(
        engine="onnx",
        network=metadata["network"],
        variant=metadata["variant"],
        licence=metadata["licence"],
        commercial=metadata["commercial"] == "true",
        file=file.name,
        sha256=sha256_of(file),
        prior=metadata.get("prior", ""),
    )


def _read_same_card(path: Path, made: Graph) -> dict[str, Any]:
    """Return what only the card at ``path`` says, if it is of the model that ``made`` is of."""
    try:
        artifact = find_artifact(str(path))
        if not _is_same(artifact.graph, made):
            return {}
    except ModelError:
        return {}
    return {key: getattr(artifact.card, key) for key in ("summary", "command", "measured")}


def _is_same(path: Path, made: Graph) -> bool:
    """Return whether the graph at ``path`` is of the network, weights and size of ``made``."""
    try:
        return read_graph(path).identity == made.identity is not None
    except EngineError:
        return False


def _check_agreement(agreement: Agreement, path: Path) -> None:
    if not (agreement.median <= MAX_MEDIAN_PX and agreement.confidence <= MAX_CONFIDENCE):
        raise InputError(
            f"{path}: the graph disagrees with PyTorch ({agreement}) and was not kept; "
            "export in fp32 if this is mixed precision, or use other weights"
        )


def _check_space(network: StereoNetwork, path: Path, folder: Path) -> None:
    """Refuse to begin where the traced and the folded graph do not fit."""
    weights = sum(value.numel() for value in network.state_dict().values())
    needed = 2 * 4 * weights + 2**20
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WriteError(
            f"{path} was not written: {needed / 1e6:.0f} MB of disk are needed while exporting, "
            f"{free / 1e6:.0f} MB are free"
        )
