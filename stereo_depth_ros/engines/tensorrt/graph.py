"""What an ONNX file says of itself, read without the onnx package, which robots do without.

Weights are skipped, so that a file of any size takes milliseconds per thousand nodes.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from stereo_depth_ros import graph_contract
from stereo_depth_ros.artifact import locate_graph
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.protobuf import fields, text_of
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.graph_contract import SYMBOLS, AnySize, Side

_ELEMENTS: dict[type, int] = {np.float32: 1, np.uint8: 2}  # TensorProto.DataType
_EXTERNAL = 1  # TensorProto.DataLocation

CONTROL_FLOW = ("Loop", "Scan", "If")
DATA_DEPENDENT = ("NonZero", "Unique", "Compress", "NonMaxSuppression")
"""Operators whose output has a shape that the data decide."""

_REFUSED = {
    **dict.fromkeys(CONTROL_FLOW, "cannot be captured in a CUDA graph"),
    **dict.fromkeys(DATA_DEPENDENT, "gives an output whose shape depends on the data"),
}


@dataclass(frozen=True)
class Graph:
    """An ONNX file that keeps the graph contract, for images of ``height`` x ``width`` px.

    A graph for any size is made for that one, and ``sizes`` says which it takes; None of a static
    one. ``takes_prior`` says whether it has the two inputs of the prior.
    """

    path: Path
    opset: int
    metadata: dict[str, str]
    operators: frozenset[str]
    height: int
    width: int
    takes_prior: bool
    sizes: AnySize | None = None

    @property
    def precision(self) -> str:
        """The types it is written in: "fp32" or "mixed"."""
        return self.metadata.get("precision", "fp32")

    @property
    def identity(self) -> tuple[str | int, ...] | None:
        """What graphs of one network, weights and size share, None where that is unknown."""
        keys = ("network", "variant", "iterations", "max_disparity", "weights_sha256")
        values = [self.metadata.get(key, "") for key in keys]
        unknown = values[-1] in ("", "random")
        return None if unknown else (*values, self.height, self.width)

    @cached_property
    def sha256(self) -> str:
        """Of the file, read when first asked for."""
        return sha256_of(self.path)


def read_graph(path: Path) -> Graph:
    """Read the ONNX file at ``path``, and refuse what no TensorRT can run faithfully.

    Raises
    ------
    EngineError
        When the file cannot be read, breaks the graph contract, or holds such an operator.
    """
    try:
        with path.open("rb") as file:
            # Not closed here: the views of it that a traceback holds would forbid that.
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _read(path, memoryview(data))
    except OSError as error:
        raise EngineError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise EngineError(f"{path}: is no ONNX graph, or is cut short; export it again") from error


def counterpart(graph: Graph, precision: str) -> Graph | None:
    """Return ``graph`` in ``precision``: itself, or the file beside it, else None.

    NAME.onnx and NAME.mixed.onnx belong together where their metadata says that they hold the same
    network, weights and size.
    """
    if graph.precision == precision:
        return graph
    path = locate_graph(graph.path, precision)
    if path == graph.path or not path.is_file():
        return None
    candidate = read_graph(path)
    fits = candidate.precision == precision and graph.identity == candidate.identity is not None
    return candidate if fits else None


def _read(path: Path, data: memoryview) -> Graph:
    opset, metadata = 0, {}
    values: dict[int, dict] = {11: {}, 12: {}}  # inputs, outputs
    operators = set()
    for number, value in fields(data):
        if number == 8:  # opset_import
            entry = dict(fields(value))
            if not bytes(entry.get(1, b"")):
                opset = entry[2]
        elif number == 14:  # metadata_props
            entry = dict(fields(value))
            metadata[text_of(entry[1])] = text_of(entry.get(2, b""))
        elif number == 7:  # graph
            for kind, item in fields(value):
                if kind == 1:  # node
                    operators.add(_operator(path, item))
                elif kind == 5:  # initializer
                    _refuse_external(path, item)
                elif kind in values:
                    name, description = _value(item)
                    values[kind][name] = description
    _check_operators(path, operators, opset)
    height, width, takes_prior = _check_interface(path, values[11], values[12])
    for key in ("network", "max_disparity"):
        if key not in metadata:
            raise EngineError(f"{path}: metadata '{key}' is missing; export the graph again")
    try:
        sizes = AnySize.read(metadata)
        if isinstance(height, str) or isinstance(width, str):
            if sizes is None:
                raise ValueError("metadata 'size' is missing")
            height, width = sizes.size
        graph_contract.search_range(metadata["max_disparity"], width)
    except ValueError as error:
        raise EngineError(f"{path}: {error}; export the graph again") from error
    return Graph(path, opset, metadata, frozenset(operators), height, width, takes_prior, sizes)


def _operator(path: Path, node: memoryview) -> str:
    entry = dict(fields(node))
    operator, domain = text_of(entry[4]), text_of(entry.get(7, b""))
    if domain not in ("", "ai.onnx"):
        raise EngineError(
            f"{path}: operator {operator} is of domain '{domain}', which needs a plugin; export "
            "the graph with standard operators"
        )
    return operator


def _refuse_external(path: Path, tensor: memoryview) -> None:
    for number, value in fields(tensor):
        if number == 14 and value == _EXTERNAL:
            raise EngineError(f"{path}: its weights lie in another file; save it as one file")


def _check_operators(path: Path, operators: set[str], opset: int) -> None:
    for operator in sorted(operators & set(_REFUSED)):
        raise EngineError(f"{path}: operator {operator} {_REFUSED[operator]}; export without it")
    if "GridSample" in operators and opset >= 20:
        raise EngineError(
            f"{path}: is of opset {opset}, whose GridSample TensorRT 10 samples by nearest "
            "without a word; export with opset 17"
        )


def _check_interface(path: Path, inputs: dict, outputs: dict) -> tuple[Side, Side, bool]:
    """Return height and width of the images, and whether the graph takes a prior."""
    shape = inputs.get("left", (0, ()))[1]
    height, width = shape[1:3] if len(shape) == 4 else (0, 0)
    takes_prior = graph_contract.has_prior(inputs)
    if (
        not (height and width)
        or ({height, width} & {*SYMBOLS} and (height, width) != SYMBOLS)
        or inputs != _describe_layout(graph_contract.inputs(height, width, takes_prior))
        or outputs != _describe_layout(graph_contract.outputs(height, width))
    ):
        raise EngineError(
            f"{path}: breaks the graph contract: {graph_contract.WORDS}; export it again"
        )
    return height, width, takes_prior


def _describe_layout(
    layout: graph_contract.Tensors[Side],
) -> dict[str, tuple[int, tuple[Side, ...]]]:
    return {name: (_ELEMENTS[kind], shape) for name, (shape, kind) in layout.items()}


def _value(value: memoryview) -> tuple[str, tuple[int, tuple[Side, ...]]]:
    """Return name, element type and shape of a ValueInfoProto; 0 is an axis that is neither."""
    entry = dict(fields(value))
    tensor = dict(fields(dict(fields(entry[2]))[1]))
    shape = tuple(map(_side, (dimension for _, dimension in fields(tensor.get(2, b"")))))
    return text_of(entry[1]), (tensor.get(1, 0), shape)


def _side(dimension: memoryview) -> Side:
    entry = dict(fields(dimension))
    symbol = text_of(entry.get(2, b""))
    return symbol if symbol in SYMBOLS else entry.get(1, 0)
