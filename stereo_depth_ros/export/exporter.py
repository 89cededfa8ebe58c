"""One network, one file, for one size or any."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch

from stereo_depth_ros.atomic_file import scratch_folder, write_bytes
from stereo_depth_ros.export.gate import check_graph
from stereo_depth_ros.export.mixed import to_mixed
from stereo_depth_ros.export.simplify import simplify
from stereo_depth_ros.export.tracing import trace
from stereo_depth_ros.graph_contract import MATCHERS, AnySize
from stereo_depth_ros.networks.base import StereoNetwork

PRECISIONS = ("fp32", "mixed")


def export_onnx(
    network: StereoNetwork,
    height: int,
    width: int,
    path: Path,
    *,
    any_size: bool = False,
    precision: str = "fp32",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write ``network`` for images of ``height`` x ``width`` px to ``path``, checked; return it.

    For ``any_size`` that is what the graph runs at where nobody asks for another.
    ``precision`` "mixed" writes float16, with float32 where that is needed and in the submodules
    that the network names in ``float32_parts``. ``metadata`` adds to, or replaces, what the network
    says of itself: ``weights_sha256`` (default: of the tensors), ``licence`` (of the weights),
    ``commercial`` ("true" or "false", the default). ``path`` is replaced only by a file that passed
    every check.

    Raises
    ------
    GraphError
        When the graph breaks the contract, or holds what TensorRT mishandles.
    InputError
        For ``any_size`` of a network that is traced for one size only.
    ValueError
        For an unknown precision.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(path.parent) as folder:
        model = fold(network, height, width, folder, any_size)
    known = describe(network, height, width, any_size)
    model = finish(model, network, precision, {**known, **(metadata or {})})
    write_bytes(path, model.SerializeToString())
    return path


def fold(
    network: StereoNetwork, height: int, width: int, folder: Path, any_size: bool = False
) -> onnx.ModelProto:
    """Return the float32 graph of ``network``, traced and folded in the empty ``folder``."""
    traced = folder / "traced.onnx"
    trace(network, height, width, traced, any_size)
    return simplify(traced)


def finish(
    model: onnx.ModelProto, network: StereoNetwork, precision: str, metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """Return the folded ``model`` in ``precision`` with its metadata, checked.

    Raises
    ------
    GraphError
        When the graph breaks the contract, or holds what TensorRT mishandles.
    ValueError
        For an unknown precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision '{precision}' is not one of {', '.join(PRECISIONS)}")
    onnx.helper.set_model_props(model, {"precision": precision, **metadata})
    if precision == "mixed":
        model = to_mixed(model, network.float32_parts)
    check_graph(model)
    return model


def describe(
    network: StereoNetwork, height: int, width: int, any_size: bool = False
) -> dict[str, str]:
    """Return what a graph for images of ``height`` x ``width`` px says of its network."""
    sizes = AnySize((height, width), network.min_size, network.multiple)
    return {
        "network": network.name,
        "variant": network.variant,
        "iterations": str(network.iterations or 0),
        # 0 stands for a search along the whole row.
        "max_disparity": str(network.max_disparity or (0 if any_size else width)),
        "weights_sha256": _digest(network),
        "licence": network.licence,
        "commercial": "false",
        **({"prior": MATCHERS[0]} if network.takes_prior else {}),
        **(sizes.as_metadata() if any_size else {}),
        "producer": f"stereo_depth_ros, torch {torch.__version__}",
    }


def _digest(network: StereoNetwork) -> str:
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()
