"""Fold what is constant."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime


def simplify(path: Path) -> onnx.ModelProto:
    """Return the graph at ``path`` with constants folded and duplicates merged.

    ONNX Runtime's basic level keeps to standard operators of the graph's own opset; it must be
    given a float32 graph, because it would put casts around float16 that its CPU lacks.
    """
    # Older versions (seen with 1.16) fold a shape only if they are told of it.
    onnx.shape_inference.infer_shapes_path(str(path), data_prop=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    folded = path.with_suffix(".folded.onnx")
    options.optimized_model_filepath = str(folded)
    # A Gemm takes matrices only, which would put a Reshape on both sides of each linear layer.
    skipped = ["MatMulAddFusion"]
    providers = ["CPUExecutionProvider"]
    onnxruntime.InferenceSession(
        str(path), options, providers=providers, disabled_optimizers=skipped
    )
    model = onnx.load(str(folded))
    del model.graph.value_info[:]  # also of tensors that are gone
    # It declares every domain that it knows, used or not.
    used = {node.domain for node in model.graph.node}
    declared = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(declared)
    return model
