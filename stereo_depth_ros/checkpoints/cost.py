"""What a network or a graph costs to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from stereo_depth_ros.checkpoints.error import CheckpointError
from stereo_depth_ros.engines.tensorrt.frozen import freeze
from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.networks import create_network


@dataclass(frozen=True)
class Cost:
    """What one pair costs.

    Attributes
    ----------
    parameters
        Weights.
    macs
        Multiply-accumulates of convolutions and matrix products.
    nodes
        Operators of a graph, None for a network.
    """

    parameters: int
    macs: int
    nodes: int | None = None


def network_cost(network: str, variant: str | None, height: int, width: int, **config: Any) -> Cost:
    """Count what a network costs; no weights are made and nothing is run.

    Parameters
    ----------
    network, variant
        As of `create_network`.
    height, width
        Of the images in px.
    **config
        Changes of its config.

    Returns
    -------
    Cost
        Of one pair.

    Raises
    ------
    NetworkError
        As `create_network`.
    """
    # Fake tensors rather than "meta" ones, which autocast does not know.
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        model = create_network(network, variant, **config).eval()
        image = torch.empty(1, 3, height, width)
        with _plain_attention(), FlopCounterMode(display=False) as counter:
            model(image, image)
    parameters = sum(value.numel() for value in model.parameters())
    return Cost(parameters, counter.get_total_flops() // 2)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let attention run as matrix products, since not every PyTorch counts its fused kernels."""
    switches = torch.backends.cuda  # their name notwithstanding, they hold for the CPU too
    flash, efficient = switches.flash_sdp_enabled(), switches.mem_efficient_sdp_enabled()
    switches.enable_flash_sdp(False)
    switches.enable_mem_efficient_sdp(False)
    try:
        yield
    finally:
        switches.enable_flash_sdp(flash)
        switches.enable_mem_efficient_sdp(efficient)


def graph_cost(path: Path, height: int = 480, width: int = 640) -> Cost:
    """Count what an ONNX graph costs.

    Parameters
    ----------
    path
        The graph.
    height, width
        Of the images in px, where the graph is for any size.

    Returns
    -------
    Cost
        Of one pair.

    Raises
    ------
    CheckpointError
        When it cannot be read, or its shapes are not static.
    """
    import onnx

    try:
        content = path.read_bytes()
        if AnySize.read({p.key: p.value for p in onnx.load_from_string(content).metadata_props}):
            content = freeze(content, height, width)
        model = onnx.load_from_string(content)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise CheckpointError(f"{path}: cannot be read as an ONNX graph: {error}") from error
    graph = model.graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in kind.shape.dim)
    try:
        macs = sum(_node_macs(node, shapes) for node in graph.node)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: the shape of {error} is not known; export it with static shapes"
        ) from error
    parameters = sum(prod(weight.dims) for weight in graph.initializer)
    return Cost(parameters, macs, len(graph.node))


def _node_macs(node: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":
        return prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":
        return prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "MatMul":
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 0
