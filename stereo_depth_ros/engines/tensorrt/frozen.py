"""A graph for any size as the static graph of one size, made without the onnx package.

What follows from the size alone is computed once, by ONNX Runtime, and becomes constants: TensorRT
reads many of these (shapes, amounts of padding, grids) as constants only, which ones by version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.onnxruntime import import_runtime
from stereo_depth_ros.engines.tensorrt.protobuf import Message, field, fields, text_of
from stereo_depth_ros.graph_contract import AnySize

# Field numbers of onnx.proto.
_GRAPH, _METADATA = 7, 14
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13

_ELEMENTS = {  # TensorProto.DataType
    np.dtype(kind): number
    for kind, number in (
        (np.float32, 1),
        (np.uint8, 2),
        (np.int32, 6),
        (np.int64, 7),
        (np.bool_, 9),
        (np.float16, 10),
    )
}


def freeze(model: bytes, height: int, width: int) -> bytes:
    """Return the ONNX file ``model``, which is for any size, for ``height`` x ``width`` px.

    Raises
    ------
    EngineError
        When ONNX Runtime cannot compute what follows from the size.
    """
    parts = list(fields(memoryview(model)))
    inner = _Parts(next(value for number, value in parts if number == _GRAPH))
    values = _evaluate(parts, inner, height, width)
    sides = dict(zip(graph_contract.SYMBOLS, (height, width), strict=True))
    content = b"".join(inner.write_frozen(values, sides))
    return b"".join(_write(parts, content, width))


def _write(parts: list[tuple[int, Message]], graph: bytes, width: int) -> Iterator[bytes]:
    for number, value in parts:
        if number == _METADATA:
            key, text = (text_of(text) for _, text in fields(value))
            if key in AnySize.KEYS:
                continue
            if key == "max_disparity":
                text = f"{graph_contract.search_range(text, width):g}"
            value = field(1, key) + field(2, text)
        yield field(number, graph if number == _GRAPH else value)


@dataclass
class _Node:
    """A node by the tensors that it reads and makes; ``rest`` is all else of it."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    rest: bytes

    @classmethod
    def read(cls, data: Message) -> _Node:
        content = list(fields(data))
        inputs, outputs = (
            [text_of(value) for number, value in content if number == kind] for kind in (1, 2)
        )
        operator = next(text_of(value) for number, value in content if number == 4)
        rest = b"".join(field(number, value) for number, value in content if number > 2)
        return cls(operator, inputs, outputs, rest)

    def write(self) -> bytes:
        names = [field(1, name) for name in self.inputs] + [field(2, n) for n in self.outputs]
        return field(_NODE, b"".join(names) + self.rest)


class _Parts:
    """The fields of a GraphProto, and which of its tensors the size alone decides.

    ``of_images`` are the nodes that see more than the size, ``frontier`` what they read of the
    others.
    """

    def __init__(self, data: Message) -> None:
        self.rest = [(n, v) for n, v in fields(data) if n not in (_NODE, _VALUE_INFO)]
        nodes = [_Node.read(value) for number, value in fields(data) if number == _NODE]
        known = {_name(value, 8) for number, value in self.rest if number == _INITIALIZER}
        known.add("")
        of_size: set[str] = set()
        self.nodes = nodes
        self.of_images: list[_Node] = []
        for node in nodes:
            follows = bool(of_size.intersection(node.inputs)) and of_size | known >= {*node.inputs}
            if node.operator == "Shape" or follows:
                of_size.update(node.outputs)
            else:
                self.of_images.append(node)
        read = [name for node in self.of_images for name in node.inputs]
        self.frontier = [name for name in dict.fromkeys(read) if name in of_size]

    def write_probe(self) -> Iterator[bytes]:
        """Yield the graph with the frontier as its outputs."""
        for node in self.nodes:
            yield node.write()
        for number, value in self.rest:
            if number != _OUTPUT:
                yield field(number, value)
        for name in self.frontier:
            yield field(_OUTPUT, field(1, name))

    def write_frozen(self, values: dict[str, np.ndarray], sides: dict[str, int]) -> Iterator[bytes]:
        """Yield the graph with ``values`` in the place of the frontier, and these ``sides``."""
        # Where nothing is left to pad, TensorRT would copy all the same.
        same = {
            node.outputs[0]: node.inputs[0]
            for node in self.of_images
            if node.operator == "Pad" and not values.get(node.inputs[1], np.ones(1)).any()
        }
        read = set()
        for node in self.of_images:
            if node.outputs[0] not in same:
                node.inputs = [same.get(name, name) for name in node.inputs]
                read.update(node.inputs)
                yield node.write()
        for number, value in self.rest:
            if number in (_INPUT, _OUTPUT):
                yield field(number, _fix_sides(value, sides))
            elif number != _INITIALIZER or _name(value, 8) in read:
                yield field(number, value)
        for name, array in values.items():
            if name in read:
                yield field(_INITIALIZER, _tensor(name, array))


def _evaluate(
    parts: list[tuple[int, Message]], inner: _Parts, height: int, width: int
) -> dict[str, np.ndarray]:
    """Return what the tensors of the frontier are at that size."""
    if not inner.frontier:
        return {}
    probe = b"".join(inner.write_probe())
    model = b"".join(field(n, probe if n == _GRAPH else value) for n, value in parts)
    runtime = import_runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    for symbol, side in zip(graph_contract.SYMBOLS, (height, width), strict=True):
        options.add_free_dimension_override_by_name(symbol, side)
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        takes_prior = graph_contract.has_prior([value.name for value in session.get_inputs()])
        blank: dict[str, np.ndarray] = {
            name: np.zeros(shape, kind)
            for name, (shape, kind) in graph_contract.inputs(height, width, takes_prior).items()
        }
        values = session.run(inner.frontier, blank)
    except Exception as error:
        raise EngineError(
            f"the graph cannot be made static at {height}x{width} px: {error}"
        ) from error
    return dict(zip(inner.frontier, values, strict=True))


def _name(value: Message, number: int) -> str:
    return next(text_of(text) for n, text in fields(value) if n == number)


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(field(1, side) for side in array.shape)
    raw = np.ascontiguousarray(array).tobytes()
    return dims + field(2, _ELEMENTS[array.dtype]) + field(8, name) + field(9, raw)


def _fix_sides(value: Message, sides: dict[str, int]) -> bytes:
    """Return a ValueInfoProto, or a part of one, with numbers for the symbols of ``sides``."""
    name, kind = (dict(fields(value))[number] for number in (1, 2))
    tensor = dict(fields(dict(fields(kind))[1]))
    shape = b""
    for _, dimension in fields(tensor[2]):
        side = dict(fields(dimension))
        number = sides[text_of(side[2])] if 2 in side else side[1]
        shape += field(1, field(1, number))
    described = field(1, tensor[1]) + field(2, shape)
    return field(1, name) + field(2, field(1, described))
