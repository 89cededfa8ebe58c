"""Every network of the registry, exported at a small size and built by a real TensorRT.

As a program it prints the table: python networks_to_build.py [NETWORK[/VARIANT] ...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS / "networks"), str(TESTS / "export"), str(TESTS)]

SIZE = 96, 160
ITERATIONS = 2  # more add layers, not kinds of layers
PRECISIONS = ("fp32", "mixed")
GPU = "8.6"


class Built(NamedTuple):
    """One build: ``seconds`` of TensorRT alone, by the clock and of all its threads, ``megabytes``
    of the plan."""

    layers: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    samplings: int
    resizings: int


def variants():
    """All of them, as "network/variant"."""
    from stereo_depth_ros.networks import list_networks

    return [f"{name}/{variant}" for name, found in list_networks().items() for variant in found]


def export(variant, precision, path):
    """Write the graph of "network/variant" with the weights of its fixture, if it has one."""
    import torch
    from test_every_network import recorded_weights
    from weights import load_filled

    from stereo_depth_ros.export import export_onnx
    from stereo_depth_ros.networks import create_network

    name, _, kind = variant.partition("/")
    with torch.device("meta"):
        iterates = create_network(name, kind).iterations is not None
    config = {"iterations": ITERATIONS} if iterates else {}
    network = load_filled(create_network(name, kind, **config), **recorded_weights(variant))
    return export_onnx(network, *SIZE, path, precision=precision)


def build(runtime, path, precision):
    """Build a graph file; assert that it was understood as meant, and the build watched."""
    import onnx

    from stereo_depth_ros.engines.tensorrt.builder import Builder
    from stereo_depth_ros.engines.tensorrt.graph import read_graph
    from stereo_depth_ros.engines.tensorrt.options import BuildOptions

    percents = []

    def report(percent, step):
        if percent is not None:
            percents.append(percent)

    builder = Builder(runtime, read_graph(path), report=report)
    started, worked = time.monotonic(), time.process_time()
    plan = builder.build(BuildOptions(precision, 2048), compute_capability=GPU)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - worked
    assert plan.nbytes > 0.2 * path.stat().st_size
    assert len(percents) > 20, "the progress monitor was not called"
    assert percents == sorted(percents)
    nodes = onnx.load(str(path)).graph.node
    samplings = [attributes_of(n) for n in nodes if n.op_type == "GridSample"]
    resizings = [attributes_of(n) for n in nodes if n.op_type == "Resize"]
    check_sampling(builder.network, runtime.module, samplings)
    check_resizing(builder.network, runtime.module, resizings)
    layers = builder.network.num_layers
    megabytes = plan.nbytes / 1e6
    return Built(layers, seconds, cpu_seconds, megabytes, len(samplings), len(resizings))


def attributes_of(node):
    """The attributes of an ONNX node by name, texts as such."""
    import onnx

    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in found.items()}


def _layers(network, kind, layer_class):
    """The layers of a kind in the order of the graph, which the bindings give classless."""
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    found = [layer for layer in layers if layer.type == kind]
    for layer in found:
        layer.__class__ = layer_class
    return found


def check_sampling(network, trt, wanted):
    """Assert that the parsed GridSample layers are what the nodes' attributes ``wanted`` say."""
    modes = {
        "bilinear": trt.InterpolationMode.LINEAR,
        "nearest": trt.InterpolationMode.NEAREST,
        "bicubic": trt.InterpolationMode.CUBIC,
    }
    borders = {"zeros": trt.SampleMode.FILL, "border": trt.SampleMode.CLAMP}
    found = _layers(network, trt.LayerType.GRID_SAMPLE, trt.IGridSampleLayer)
    assert len(found) == len(wanted)
    for layer, node in zip(found, wanted, strict=True):
        assert layer.interpolation_mode == modes[node.get("mode", "bilinear")]
        assert layer.sample_mode == borders[node.get("padding_mode", "zeros")]
        assert layer.align_corners == bool(node.get("align_corners", 0))


def check_resizing(network, trt, wanted):
    """Assert that the parsed Resize layers are what the nodes' attributes ``wanted`` say."""
    modes = {
        "nearest": trt.InterpolationMode.NEAREST,
        "linear": trt.InterpolationMode.LINEAR,
        "cubic": trt.InterpolationMode.CUBIC,
    }
    coordinates = {
        "half_pixel": trt.ResizeCoordinateTransformation.HALF_PIXEL,
        "pytorch_half_pixel": trt.ResizeCoordinateTransformation.HALF_PIXEL,
        "align_corners": trt.ResizeCoordinateTransformation.ALIGN_CORNERS,
        "asymmetric": trt.ResizeCoordinateTransformation.ASYMMETRIC,
    }
    found = _layers(network, trt.LayerType.RESIZE, trt.IResizeLayer)
    assert len(found) == len(wanted)
    for layer, node in zip(found, wanted, strict=True):
        mode = node.get("mode", "nearest")
        name = node.get("coordinate_transformation_mode", "half_pixel")
        assert layer.resize_mode == modes[mode]
        assert layer.coordinate_transformation == coordinates[name]
        if mode == "cubic":
            assert abs(layer.cubic_coeff - node.get("cubic_coeff_a", -0.75)) < 1e-6


def print_table(wanted=()):
    """Build each network in fp32 and mixed; print what came of it as Markdown."""
    from stereo_depth_ros.engines.tensorrt.versions import find_runtime

    runtime = find_runtime("tensorrt_rtx")
    print(f"{runtime}, {SIZE[1]}x{SIZE[0]}, {ITERATIONS} iterations, for {GPU}\n")
    print(
        "| network | precision | layers | build (s) | CPU (s) | plan (MB) | GridSample | Resize |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for variant in variants():
        if wanted and variant not in wanted and variant.partition("/")[0] not in wanted:
            continue
        for precision in PRECISIONS:
            with tempfile.TemporaryDirectory() as folder:
                path = export(variant, precision, Path(folder) / "net.onnx")
                try:
                    found = build(runtime, path, precision)
                except (AssertionError, RuntimeError) as error:
                    print(f"| {variant} | {precision} | {type(error).__name__}: {error} |")
                    continue
                figures = (
                    found.layers,
                    round(found.seconds),
                    round(found.cpu_seconds),
                    round(found.megabytes, 1),
                    found.samplings,
                    found.resizings,
                )
                print(f"| {variant} | {precision} | {' | '.join(map(str, figures))} |", flush=True)


if __name__ == "__main__":
    print_table(sys.argv[1:])
