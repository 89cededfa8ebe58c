"""Export a network, compare the graph with it, and only then publish graph and reference."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stereo_depth_ros.atomic_file import WriteError, scratch_folder
from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    reference_beside,
    reference_of,
    render_test_pair,
)
from stereo_depth_ros.engines.tensorrt.verdict import Outputs, add_noise
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.agreement import Agreement, compare, outputs_of
from stereo_depth_ros.export.exporter import export_onnx
from stereo_depth_ros.export.static_forms import check_sizes
from stereo_depth_ros.networks.base import StereoNetwork

# Differences from PyTorch in float32.
MAX_MEDIAN_PX = 0.1
MAX_CONFIDENCE = 0.01  # on average


def publish(
    network: StereoNetwork,
    height: int,
    width: int,
    path: Path,
    *,
    any_size: bool = False,
    precision: str = "fp32",
    metadata: Mapping[str, str] | None = None,
) -> Agreement:
    """Write ``network`` to ``path`` if its graph agrees with it; return how well it does.

    They are compared on a rendered pair, which with PyTorch's outputs becomes NAME.reference.npz
    beside ``path``; a network that takes a prior once more with what SGBM finds for that pair, the
    reference being without it, as TensorRT runs; and a graph for any size in the same way at
    another one. The other arguments are those of `export_onnx`.
    Where anything fails, ``path`` and the reference stay as they were.

    Raises
    ------
    GraphError
        When the graph breaks the contract, or holds what TensorRT mishandles.
    InputError
        When the graph and PyTorch disagree.
    OSError
        When the disk is full, or ``path`` is a folder or cannot be written.
    ValueError
        For an unknown ``precision``.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise WriteError(f"{path} is a folder; name the file in it, such as {path}/net.onnx")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_space(network, path, target.parent)
    with scratch_folder(target.parent) as folder:
        graph = folder / target.name
        settings: Any = {"any_size": any_size, "precision": precision, "metadata": metadata}
        export_onnx(network, height, width, graph, **settings)
        made = read_graph(graph)
        left, right = render_test_pair(height, width)
        expected = outputs_of(network, left, right)
        noisy = outputs_of(network, add_noise(left), add_noise(right))
        agreements = list(_compare_all(network, graph, left, right, expected))
        if made.sizes is not None:
            pair = render_test_pair(*check_sizes(made.sizes)[1])
            agreements += _compare_all(network, graph, *pair, outputs_of(network, *pair))
        for agreement in agreements:
            _check_agreement(agreement, path)
        reference = reference_beside(made)
        reference_of(made, (left, right), expected, noisy, "PyTorch in float32").save(reference)
        # A reference of another graph than the one beside it is made anew; a graph needs its own.
        reference.replace(target.with_name(reference.name))
        graph.replace(target)
    return Agreement(*map(max, zip(*agreements, strict=True)))


def _compare_all(
    network: StereoNetwork, graph: Path, left: np.ndarray, right: np.ndarray, expected: Outputs
) -> Iterator[Agreement]:
    """Yield how well the graph agrees with ``expected``, and with a prior if it takes one."""
    yield compare(graph, left, right, expected)
    if network.takes_prior:
        prior = find_prior(SgbmEngine(), left, right, network.max_disparity or left.shape[1])
        yield compare(graph, left, right, outputs_of(network, left, right, prior), prior)


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
