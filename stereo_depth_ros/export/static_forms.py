"""A graph for any size at the sizes that it is checked at."""

from __future__ import annotations

import onnx

from stereo_depth_ros.engines.tensorrt.frozen import freeze
from stereo_depth_ros.graph_contract import SYMBOLS, AnySize


def list_static_forms(model: onnx.ModelProto) -> list[onnx.ModelProto]:
    """Return ``model`` itself where it is static, else what it is at each of its `check_sizes`.

    Raises
    ------
    ValueError
        When its metadata does not say which sizes it takes.
    """
    if not is_symbolic(model):
        return [model]
    sizes = AnySize.read({entry.key: entry.value for entry in model.metadata_props})
    if sizes is None:
        raise ValueError("metadata 'size' is missing")
    content = model.SerializeToString()
    return [onnx.load_from_string(freeze(content, *size)) for size in check_sizes(sizes)]


def is_symbolic(model: onnx.ModelProto) -> bool:
    """Tell whether a side of an input of ``model`` is one of the contract's symbols."""
    shapes = (value.type.tensor_type.shape for value in model.graph.input)
    return any(side.dim_param in SYMBOLS for shape in shapes for side in shape.dim)


def check_sizes(sizes: AnySize) -> list[tuple[int, int]]:
    """Return the size that a graph is made for, and one about half as large that needs padding."""
    height, width = (
        max(side // 2, least) for side, least in zip(sizes.size, sizes.min_size, strict=True)
    )
    multiple = sizes.multiple
    return [sizes.size, (height + (height % multiple == 0), width + (width % multiple == 0))]
